#include "orchestrator/cli/worker_drain.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "orchestrator/api/operate.hpp"
#include "orchestrator/api/query.hpp"
#include "orchestrator/cli/show/answers.hpp"

namespace tasker::cli {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPollPause{200};

struct DrainOptions {
    std::string worker;
    std::optional<double> deadline_seconds;
    bool all = false;
    bool wait = false;
    double timeout_seconds = 600;
};

bool has_outcome(const Json& row, std::string_view outcome) {
    return cell_text(row["outcome"]) == outcome;
}

bool any_with(const Json& rows, std::string_view outcome) {
    return std::any_of(rows.begin(), rows.end(), [&](const Json& row) { return has_outcome(row, outcome); });
}

bool all_ended(const Json& rows) {
    return std::all_of(rows.begin(), rows.end(), [](const Json& row) { return has_outcome(row, "ended"); });
}

/// "00ff12ab34cd56ef (ready, 2 in flight)"
std::string session_text(const Json& row) {
    return fmt::format("{} ({}, {} in flight)", cell_text(row["session"]), cell_text(row["state"]),
                       cell_text(row["in_flight"]));
}

CommandError ambiguous(const std::string& worker, const Json& rows) {
    std::string sessions;
    std::int64_t live = 0;
    for (const auto& row : rows) {
        if (has_outcome(row, "ended")) continue;
        ++live;
        sessions += "\n          " + printable(session_text(row));
    }
    return {ExitCode::failed,
            fmt::format("{} live sessions are named \"{}\", and none of them was asked:{}", live,
                        printable(worker), sessions),
            "name one session, or all of them with --all"};
}

/// Everything that must be so before anybody was asked, with --json or without.
void refuse_unless_asked(const DrainOptions& options, const Json& rows) {
    if (rows.empty()) {
        throw CommandError(ExitCode::not_found,
                           fmt::format("there is no worker or session \"{}\"", printable(options.worker)),
                           "see `tasker worker list`");
    }
}

bool has_ended(const Json& session) {
    const std::string state = cell_text(session["state"]);
    return state == "left" || state == "lost" || state == "gone";
}

/// Polls until every session has ended, or the time is over. Says on standard error what has changed.
Json wait_for_end(const Context& context, postgres::Connection& connection,
                  const std::vector<std::string>& sessions, double timeout_seconds) {
    const auto end = steady_clock::now() + std::chrono::duration_cast<steady_clock::duration>(
                                               std::chrono::duration<double>(timeout_seconds));
    std::vector<std::string> said(sessions.size());
    while (true) {
        Json rows = parse_answer(api::session_states_json(connection, sessions));
        for (std::size_t at = 0; at < rows.size(); ++at) {
            const std::string text = has_ended(rows[at])
                                         ? fmt::format("{} has ended: {}", cell_text(rows[at]["session"]),
                                                       cell_text(rows[at]["state"]))
                                         : session_text(rows[at]);
            if (text == said[at]) continue;
            said[at] = text;
            context.remark(printable("session " + text));
        }
        if (std::all_of(rows.begin(), rows.end(), has_ended) || steady_clock::now() >= end) return rows;
        std::this_thread::sleep_for(kPollPause);
    }
}

/// The answer of --wait: ok when every session has left in order.
ExitCode report_end(const Context& context, const DrainOptions& options, const Json& rows) {
    if (context.json) context.print_json(rows);
    std::int64_t staying = 0;
    std::int64_t lost = 0;
    for (const auto& row : rows) {
        staying += has_ended(row) ? 0 : 1;
        lost += cell_text(row["state"]) == "lost" ? 1 : 0;
    }
    if (staying + lost == 0) {
        if (!context.json)
            context.print(rows.size() == 1 ? "it has left" : fmt::format("all {} have left", rows.size()));
        return ExitCode::ok;
    }
    if (context.json) return ExitCode::failed;
    if (staying > 0) {
        throw CommandError(
            ExitCode::failed,
            fmt::format("{} not left within {}",
                        staying == 1 ? "one session has" : fmt::format("{} sessions have", staying),
                        duration_text(options.timeout_seconds)),
            "the request stays: see `tasker worker list`, and `tasker health` if no orchestrator serves");
    }
    throw CommandError(ExitCode::failed,
                       fmt::format("{} lost before saying goodbye",
                                   lost == 1 ? "one session was" : fmt::format("{} sessions were", lost)),
                       "what it may have started is retried or is a dead letter: see `tasker dlq list`");
}

void print_requests(const Context& context, const Json& rows) {
    for (const auto& row : rows) {
        if (has_outcome(row, "ended")) continue;
        context.print(printable(
            fmt::format("session {} of {} ({}, {} in flight): drain {}", cell_text(row["session"]),
                        cell_text(row["worker_id"]), cell_text(row["state"]), cell_text(row["in_flight"]),
                        has_outcome(row, "requested") ? "requested" : "was requested already")));
    }
}

ExitCode drain(const Context& context, const DrainOptions& options) {
    std::optional<std::int64_t> deadline_ms;
    if (options.deadline_seconds) {
        deadline_ms = static_cast<std::int64_t>(*options.deadline_seconds * 1000);
    }
    auto connection = context.connect_checked();
    const std::string answer = api::request_drain_json(connection, options.worker, deadline_ms, options.all);
    const Json rows = parse_answer(answer);
    refuse_unless_asked(options, rows);
    const bool refused = any_with(rows, "ambiguous") || all_ended(rows);
    if (context.json && (refused || !options.wait)) {
        print_answer(context, answer);
        return refused ? ExitCode::failed : ExitCode::ok;
    }
    if (any_with(rows, "ambiguous")) throw ambiguous(options.worker, rows);
    if (refused) {
        throw CommandError(ExitCode::failed,
                           fmt::format("worker \"{}\" has no live session", printable(options.worker)),
                           "it is gone already: see `tasker worker list --all`");
    }
    if (!context.json) print_requests(context, rows);
    if (!options.wait) return ExitCode::ok;
    std::vector<std::string> sessions;
    for (const auto& row : rows) {
        if (!has_outcome(row, "ended")) sessions.push_back(cell_text(row["session"]));
    }
    return report_end(context, options, wait_for_end(context, connection, sessions, options.timeout_seconds));
}

constexpr const char* kFooter =
    "The worker gets no new steps, hands back those it has not started, lets running ones end, and says\n"
    "goodbye. The request is kept, and carried out as soon as an orchestrator serves.\n"
    "A name that several live sessions share is refused with their list, unless --all.\n"
    "Exits with 0 when requested (or so already), 4 when it is unknown. Exits with 1 when all its sessions\n"
    "have ended, when the name is ambiguous, and with --wait when a session is still there or was lost.\n"
    "--json prints one row per session: session, worker_id, state, outcome (requested, unchanged,\n"
    "ambiguous, ended), drain_requested_at, drain_deadline_ms, in_flight. With --wait it prints session,\n"
    "worker_id, state and in_flight at the end.\n"
    "\n"
    "Examples:\n  tasker worker drain orders-1 --wait\n  tasker worker drain 00ff12ab34cd56ef --deadline 30\n"
    "  tasker worker drain orders --all --wait --timeout 120";

}  // namespace

void add_worker_drain(CLI::App& group, Context& context) {
    auto options = std::make_shared<DrainOptions>();
    CLI::App* command = group.add_subcommand("drain", "let a worker finish what it runs, and leave");
    command->add_option("worker", options->worker, "its name, or one session's id")
        ->required()
        ->type_name("WORKER|SESSION");
    command
        ->add_option("--deadline", options->deadline_seconds,
                     "how long running steps may take; default: what the worker itself allows")
        ->type_name("SECONDS")
        ->check(CLI::Range(0.0, 86'400.0).description(""));
    command->add_flag("--all", options->all, "all live sessions that share the name");
    command->add_flag("--wait", options->wait, "wait until they have left, and show how they get on");
    command->add_option("--timeout", options->timeout_seconds, "wait at most so long (default 600)")
        ->type_name("SECONDS")
        ->check(CLI::Range(0.0, 604'800.0).description(""));
    command->footer(kFooter);
    context.on_run(command, [&context, options] { return drain(context, *options); });
}

}  // namespace tasker::cli
