// What `tasker task explain` says to people: causes as sentences. Pure; the command prints it.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "orchestrator/api/explain.hpp"
#include "orchestrator/cli/context.hpp"

namespace tasker::cli {

/// A step's cause in words, what comes next (and when), and what somebody can do about it ("" for nothing).
struct ExplainedLine {
    std::string why;
    std::string next;
    std::string action;
    bool timed = false;  // `next` names a time
};

/// Knows the names of the steps, so that a step can be told which others it waits for.
class ExplainText {
  public:
    explicit ExplainText(const api::TaskExplanation& explanation);

    ExplainedLine of(const api::Explanation& step) const;
    /// The task as a whole: the first line of the answer and what to do about it.
    ExplainedLine headline(std::int64_t task_id) const;
    /// The order in which causes are shown: what moves, what waits, what needs somebody.
    static std::size_t rank(std::string_view cause);
    /// "more steps …" for a group of steps with one cause.
    static std::string plural(std::string_view cause);

  private:
    std::string name_of(std::int64_t step_id) const;
    /// The command that may go on with a failed step; "" where none is accepted.
    std::string help_for(const api::Explanation& failed) const;
    /// Failed steps of which nobody knows whether their work was done.
    std::size_t unknown_outcomes() const;
    std::string parents_of(const api::Explanation& step) const;
    ExplainedLine in_progress(const api::Explanation& step) const;
    ExplainedLine waiting(const api::Explanation& step) const;
    ExplainedLine ended(const api::Explanation& step) const;

    const api::TaskExplanation& explanation_;
    std::unordered_map<std::int64_t, const api::Explanation*> steps_;
    Json handlers_;  // what the task's row says about each handler that is waited for
};

}  // namespace tasker::cli
