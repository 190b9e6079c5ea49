#include "orchestrator/cli/show/task_stall.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/cli/show/explain_text.hpp"
#include "orchestrator/cli/show/task_watch.hpp"

namespace tasker::cli {
namespace {

// With these a worker has the step, or the orchestrator is about to send it.
constexpr std::array<std::string_view, 6> kMoving = {"running",   "accepted", "awaiting_start_grant",
                                                     "published", "ready",    "plain_worker"};

bool moves(std::string_view cause) {
    return std::find(kMoving.begin(), kMoving.end(), cause) != kMoving.end();
}

std::string sentence(const std::string& subject, const ExplainedLine& line) {
    std::string text = subject + ": " + line.why;
    for (const std::string* part : {&line.next, &line.action}) {
        if (!part->empty()) text += "; " + *part;
    }
    return printable(text);
}

}  // namespace

std::optional<std::string> why_it_waits(postgres::Connection& connection, std::int64_t task_id) {
    const auto answer = api::explain_task(connection, task_id);
    if (!answer || task_has_ended(answer->task.state)) return std::nullopt;
    const ExplainText text(*answer);
    if (answer->task.cause == "orchestrator_down") {
        return sentence(fmt::format("task {}", task_id), text.headline(task_id));
    }
    if (std::any_of(answer->steps.begin(), answer->steps.end(),
                    [](const auto& step) { return moves(step.cause); })) {
        return std::nullopt;
    }
    const auto first = std::min_element(
        answer->steps.begin(), answer->steps.end(),
        [](const auto& a, const auto& b) { return ExplainText::rank(a.cause) < ExplainText::rank(b.cause); });
    if (first == answer->steps.end()) return std::nullopt;
    return sentence(fmt::format("task {}, step {}", task_id, first->name), text.of(*first));
}

std::optional<std::string> StallNotice::look(const std::vector<api::TaskProgress>& tasks,
                                             std::chrono::milliseconds now,
                                             postgres::Connection& connection) {
    std::string state;
    const api::TaskProgress* waiting = nullptr;
    for (const auto& task : tasks) {
        state += fmt::format("{} {} {};", task.task_id, task.state, task.completed_steps);
        if (waiting == nullptr && !task_has_ended(task.state)) waiting = &task;
    }
    if (state != seen_) {
        seen_ = std::move(state);
        moved_at_ = looked_at_ = now;
        said_.clear();
    }
    if (waiting == nullptr || now - moved_at_ < kPatience || now - looked_at_ < kPatience)
        return std::nullopt;
    looked_at_ = now;
    auto reason = why_it_waits(connection, waiting->task_id);
    // A time in the text runs, so the part before it decides whether it is news.
    if (!reason || reason->substr(0, reason->find_first_of("0123456789", reason->find(": "))) == said_)
        return std::nullopt;
    said_ = reason->substr(0, reason->find_first_of("0123456789", reason->find(": ")));
    return reason;
}

}  // namespace tasker::cli
