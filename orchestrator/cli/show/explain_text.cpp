#include "orchestrator/cli/show/explain_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/cli/show/dead_letter_text.hpp"

namespace tasker::cli {
namespace {

using api::Explanation;

constexpr std::size_t kNamesMax = 3;

constexpr std::array<std::pair<std::string_view, std::string_view>, 19> kCauses = {{
    {"running", "run on workers"},
    {"awaiting_start_grant", "await their start grant"},
    {"accepted", "are held by workers and wait for a free slot there"},
    {"published", "are sent and have not started"},
    {"plain_worker", "are with the plain worker or wait for it"},
    {"ready", "are claimed by the next turn"},
    {"namespace_turn", "take turns with other namespaces"},
    {"turn_full", "follow within the next turns"},
    {"no_credit", "wait for a worker with room"},
    {"backoff", "wait for their next attempt"},
    {"snoozed", "wait until the time that their handlers asked for"},
    {"not_before", "wait for their time"},
    {"handed_back", "were handed back by workers and pause"},
    {"no_session", "wait for a worker that serves them"},
    {"inconsistent", "are in a state that nothing explains"},
    {"waiting_for_parents", "wait for their parents"},
    {"failed", "have failed"},
    {"blocked_by_failed_step", "wait for a step that failed"},
    {"cancelled", "are cancelled"},
}};

std::string ago(const std::optional<double>& seconds) {
    return seconds ? duration_text(*seconds) + " ago" : "at an unknown time";
}

std::string due(const std::optional<double>& seconds, std::string_view what) {
    if (!seconds) return "";
    if (*seconds >= 0) return fmt::format("{} in {}", what, duration_text(*seconds));
    return fmt::format("{} was due {} ago", what, duration_text(-*seconds));
}

Json detail_of(const Explanation& step) {
    return step.detail_json.empty() ? Json::object() : parse_answer(step.detail_json);
}

std::string field(const Json& detail, const char* key) {
    const auto found = detail.find(key);
    return found == detail.end() ? "" : printable(cell_text(*found));
}

const Json& list(const Json& detail, const char* key) {
    static const Json nothing = Json::array();
    const auto found = detail.find(key);
    return found != detail.end() && found->is_array() ? *found : nothing;
}

std::string attempt_text(const Explanation& step) {
    return fmt::format("attempt {} of {}", step.attempts, step.retry_limit);
}

std::string joined(const Json& values) {
    std::string text;
    for (const auto& value : values) text += (text.empty() ? "" : ", ") + printable(cell_text(value));
    return text;
}

// A session's worker is known with the list that is refreshed each second.
std::string holder_of(const Explanation& step) {
    if (step.session.empty()) return "the plain worker";
    if (step.worker_id.empty()) return "session " + step.session;
    return fmt::format("worker {} (session {})", printable(step.worker_id), step.session);
}

// What becomes of a step whose worker is silent or gone, and when; "" while the worker is there.
std::string away_text(const Json& detail, const std::string& state) {
    if (state.empty() || state == "ready" || state == "draining") return "";
    const auto silence = detail.find("worker_silent_seconds");
    const std::string silent = silence != detail.end() && silence->is_number()
                                   ? fmt::format(", last seen {} ago", duration_text(silence->get<double>()))
                                   : "";
    const char* then = field(detail, "on_orphan") == "dead_letter"
                           ? "it becomes a dead letter"
                           : "it is tried again, or fails at its limit";
    if (state == "lost" || state == "left" || state == "gone") {
        return fmt::format("that worker is {}{}: the step is taken from it within seconds, and {}", state,
                           silent, then);
    }
    return fmt::format(
        "that worker is {}{}: after timers.lease_ms of silence (8 s by default) the step is taken from it, and {}",
        state, silent, then);
}

ExplainedLine no_session(const Json& detail) {
    const std::string where = field(detail, "namespace");
    const std::string handler = field(detail, "handler_class");
    ExplainedLine line{fmt::format("no worker serves {} in namespace {}", handler, where),
                       "starts when one connects", ""};
    const Json& elsewhere = list(detail, "other_namespace");
    const Json& similar = list(detail, "similar_handlers");
    if (!elsewhere.empty()) {
        const Json& worker = elsewhere.front();
        line.action =
            fmt::format("worker {} runs it, but only for namespace {}: start it with --namespace {}",
                        field(worker, "worker_id"), joined(worker["namespaces"]), where);
    } else if (!similar.empty()) {
        line.action = fmt::format("did you mean {}? A worker serves that", joined(similar));
    } else {
        line.action = "start a worker that has this handler (`tasker worker list` shows who serves what)";
    }
    return line;
}

std::string session_text(const Json& session) {
    const std::string state = field(session, "state");
    const auto name = field(session, "worker_id");
    if (state != "ready") return fmt::format("{} is {}", name, state);
    return fmt::format("{} has {} of {} in flight", name, field(session, "in_flight"),
                       field(session, "credit_limit"));
}

ExplainedLine no_credit(const Explanation& step, const Json& detail) {
    const Json& sessions = list(detail, "sessions");
    std::string who;
    for (std::size_t i = 0; i < sessions.size() && i < kNamesMax; ++i) {
        who += (who.empty() ? "" : ", ") + session_text(sessions[i]);
    }
    const auto count = detail.value("session_count", std::size_t{0});
    if (count > kNamesMax) who += fmt::format(", and {} more", count - kNamesMax);
    const auto all_are = [&](auto&& has_state) {
        return std::all_of(sessions.begin(), sessions.end(),
                           [&](const Json& one) { return has_state(field(one, "state")); });
    };
    ExplainedLine line{fmt::format("no worker that serves it has room: {}", who),
                       step.ahead ? fmt::format("{} first", count_text(*step.ahead, "step goes", "steps go"))
                                  : "many steps go first",
                       ""};
    if (all_are([](const std::string& state) { return state == "draining"; })) {
        line.action = count == 1
                          ? "it takes nothing new and leaves when it has finished: start another worker"
                          : "they take nothing new and leave when they have finished: start another worker";
    } else if (all_are([](const std::string& state) { return state != "ready"; })) {
        line.action = "these workers take nothing now: wait, or start another one";
    }
    return line;
}

// 1000 as "1 000".
std::string grouped(std::int64_t number) {
    std::string text = std::to_string(number);
    for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ' ');
    return text;
}

// "asked to wait until 2026-03-01 12:00:00, 3 of 1 000 times: the bank is closed"
ExplainedLine snoozed(const Explanation& step, const Json& detail) {
    const std::string message = field(detail, "message");
    const auto until = detail.find("until");
    return {fmt::format("asked to wait until {}, {} of {} times{}",
                        until == detail.end() ? "later" : printable(cell_time(*until)),
                        grouped(detail.value("snoozes", std::int64_t{0})),
                        grouped(detail.value("max_snoozes", std::int64_t{0})),
                        message.empty() ? "" : ": " + message),
            due(step.next_in_seconds, "starts"), ""};
}

}  // namespace

ExplainText::ExplainText(const api::TaskExplanation& explanation) : explanation_(explanation) {
    for (const auto& step : explanation.steps) steps_.emplace(step.workflow_step_id, &step);
    handlers_ = detail_of(explanation.task).value("handlers", Json::object());
}

std::size_t ExplainText::rank(std::string_view cause) {
    const auto found =
        std::find_if(kCauses.begin(), kCauses.end(), [&](const auto& one) { return one.first == cause; });
    return static_cast<std::size_t>(found - kCauses.begin());
}

std::string ExplainText::plural(std::string_view cause) {
    const auto at = rank(cause);
    return at < kCauses.size() ? std::string(kCauses[at].second) : std::string(cause);
}

std::string ExplainText::name_of(std::int64_t step_id) const {
    const auto found = steps_.find(step_id);
    return found == steps_.end() ? std::to_string(step_id) : printable(found->second->name);
}

std::string ExplainText::parents_of(const Explanation& step) const {
    std::string text;
    for (std::size_t i = 0; i < step.waits_for.size() && i < kNamesMax; ++i) {
        const auto found = steps_.find(step.waits_for[i]);
        text += (text.empty() ? "" : ", ") + name_of(step.waits_for[i]);
        if (found != steps_.end()) text += " (" + found->second->cause + ")";
    }
    if (step.waits_for.size() > kNamesMax) {
        text += fmt::format(" and {} more", step.waits_for.size() - kNamesMax);
    }
    return text;
}

std::string ExplainText::help_for(const Explanation& failed) const {
    if (failed.cause != "failed" || explanation_.task.state == "cancelled") return "";
    const Json detail = detail_of(failed);
    const std::string letter = field(detail, "dead_letter_id");
    if (letter.empty()) return fmt::format("tasker step retry {}", failed.workflow_step_id);
    if (leaves_outcome_unknown(field(detail, "dead_letter_reason"))) {
        return fmt::format("find out whether it was done: tasker dlq show {}", letter);
    }
    return fmt::format("tasker step retry {}, or tasker dlq replay {}", failed.workflow_step_id, letter);
}

std::size_t ExplainText::unknown_outcomes() const {
    return static_cast<std::size_t>(
        std::count_if(explanation_.steps.begin(), explanation_.steps.end(), [](const Explanation& step) {
            return step.cause == "failed" &&
                   leaves_outcome_unknown(field(detail_of(step), "dead_letter_reason"));
        }));
}

ExplainedLine ExplainText::of(const Explanation& step) const {
    if (step.state == "in_progress") return in_progress(step);
    if (step.cause == "failed" || step.cause == "cancelled") return ended(step);
    return waiting(step);
}

ExplainedLine ExplainText::in_progress(const Explanation& step) const {
    const Json detail = detail_of(step);
    const std::string worker = holder_of(step);
    const std::string state = field(detail, "worker_state");
    const std::string action = away_text(detail, state);
    if (step.cause == "running") {
        return {fmt::format("runs on {} for {}, {}", worker, duration_text(step.since_seconds.value_or(0)),
                            attempt_text(step)),
                due(step.next_in_seconds, "times out"), action, true};
    }
    if (step.cause == "published") {
        // Whether the worker has accepted it is written with the next turn that touches the batch.
        return {fmt::format("sent to {} {}, has not started", worker, ago(step.since_seconds)),
                "starts there; is sent again, then taken back, if it has not arrived", action};
    }
    if (step.cause == "accepted") {
        return {
            fmt::format("held by {}, sent {}, waits for a free slot there", worker, ago(step.since_seconds)),
            "starts when the worker has a free slot; taken from it if it neither starts nor reports it",
            action};
    }
    if (step.cause == "awaiting_start_grant") {
        return {fmt::format("held by {}, which must be granted its start first (claim_first)", worker),
                "the grant, when the worker asks for it", action};
    }
    if (step.cause == "plain_worker") {
        return {fmt::format("sent to the plain worker {}, {}", ago(step.since_seconds), attempt_text(step)),
                due(step.next_in_seconds, "times out"), ""};
    }
    return {"in progress, but no open delivery is recorded", "nothing", "run `tasker db check`"};
}

ExplainedLine ExplainText::waiting(const Explanation& step) const {
    const Json detail = detail_of(step);
    const auto& cause = step.cause;
    const auto handlers = handlers_.find(step.handler_class);
    const Json& handler = handlers != handlers_.end() ? *handlers : detail;
    if (cause == "waiting_for_parents") {
        std::string why = "waits for " + parents_of(step);
        const bool direct = std::find(step.waits_for.begin(), step.waits_for.end(), step.blocking_step_id) !=
                            step.waits_for.end();
        if (!direct && step.blocking_step_id != 0) why += "; all wait for " + name_of(step.blocking_step_id);
        return {why, "starts when they are complete", ""};
    }
    if (cause == "blocked_by_failed_step") {
        const auto root = steps_.find(step.blocking_step_id);
        const bool is_cancelled = root != steps_.end() && root->second->cause == "cancelled";
        return {fmt::format("{} {} before it", name_of(step.blocking_step_id),
                            is_cancelled ? "was cancelled" : "has failed"),
                "nothing by itself", root == steps_.end() ? "" : help_for(*root->second)};
    }
    if (cause == "backoff") {
        const std::string message = field(detail, "message");
        return {fmt::format("{} failed{}", attempt_text(step), message.empty() ? "" : ": " + message),
                due(step.next_in_seconds, "next attempt"), ""};
    }
    if (cause == "snoozed") return snoozed(step, detail);
    if (cause == "handed_back") {
        return {fmt::format("workers have handed it back {} times without starting it, last because of {}",
                            field(detail, "handed_back"), field(detail, "reason")),
                due(step.next_in_seconds, "offered again"),
                fmt::format("tasker step show {} lists who gave it back, and why", step.workflow_step_id)};
    }
    if (cause == "not_before") return {"held until its time", due(step.next_in_seconds, "starts"), ""};
    if (cause == "no_session") return no_session(handler);
    if (cause == "no_credit") return no_credit(step, handler);
    if (cause == "ready") return {"ready, a worker has room", "the next turn claims it", ""};
    if (cause == "namespace_turn") {
        return {"ready, but other namespaces of the same priority may go first",
                "one of the next turns claims it", ""};
    }
    if (cause == "turn_full") {
        return {"ready, behind more steps than one turn takes", "one of the next turns claims it", ""};
    }
    if (cause == "plain_worker") {
        return {"ready; the plain worker, which takes one batch at a time, is busy",
                "when its batch has ended",
                fmt::format("tasker batch show {}", field(handler, "plain_batch"))};
    }
    return {"nothing that is known will move it", "nothing", "run `tasker db check`"};
}

ExplainedLine ExplainText::ended(const Explanation& step) const {
    if (step.cause == "cancelled") return {"was cancelled " + ago(step.since_seconds), "", ""};
    const Json detail = detail_of(step);
    const std::string message = field(detail, "message");
    const std::string letter = field(detail, "dead_letter_id");
    std::string why =
        fmt::format("failed {} after {}{}", ago(step.since_seconds),
                    count_text(step.attempts, "attempt", "attempts"), message.empty() ? "" : ": " + message);
    if (!letter.empty()) {
        why += fmt::format(" (dead letter {}: {})", letter, field(detail, "dead_letter_reason"));
    }
    if (explanation_.task.state == "cancelled") return {why, "stays so: its task is cancelled", ""};
    return {why, "nothing by itself", help_for(step)};
}

ExplainedLine ExplainText::headline(std::int64_t task_id) const {
    const auto& task = explanation_.task;
    const Json detail = detail_of(task);
    const std::string when = task.since_seconds ? ", " + ago(task.since_seconds) : "";
    if (task.cause == "complete") return {"complete: every step has ended well" + when, "", ""};
    if (task.cause == "resolved_manually") return {"resolved by an operator" + when, "", ""};
    if (task.cause == "cancelled") {
        return {"cancelled" + when, "", "it cannot be retried: submit it anew if it is still wanted"};
    }
    if (task.cause == "error") {
        const auto failed = detail["causes"].value("failed", std::int64_t{0});
        const auto unknown = unknown_outcomes();
        return {
            fmt::format("ended in error{}: {}", when,
                        count_text(failed, "step has failed", "steps have failed")),
            "",
            unknown == 0
                ? fmt::format("retry or resolve the steps below, or retry all: tasker task retry {}", task_id)
                : fmt::format("decide about each step below: of {} it is not known whether the work was done",
                              failed == 1 ? "this one" : std::to_string(unknown))};
    }
    if (task.cause == "orchestrator_down") {
        if (!detail["orchestrator"].is_object()) {
            return {"no orchestrator has ever served this database", "",
                    "start one: `tasker-orchestrator`, or `tasker dev`"};
        }
        const std::string state = field(detail["orchestrator"], "state");
        return {fmt::format("no orchestrator drives it: the last one {} {}",
                            state == "stopped" ? "stopped" : "was seen", ago(task.since_seconds)),
                "", "start the orchestrator; the causes below are those it left behind"};
    }
    std::string why;
    for (const auto& [cause, count] : detail["causes"].items()) {
        why += fmt::format("{}{} {}", why.empty() ? "" : ", ", count.get<std::int64_t>(), cause);
    }
    return {why, "", ""};
}

}  // namespace tasker::cli
