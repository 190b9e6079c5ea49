// Why is this step not running? The answer of tasker_explain_task() as values for people and as
// JSON for scripts. Read-only; throws DatabaseError.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/postgres/connection.hpp"

namespace tasker::api {

/// One row of tasker_explain_task: a step that is not complete or resolved, or the task itself. Times are
/// relative to now, in seconds; texts are "" where the row has none.
struct Explanation {
    std::int64_t workflow_step_id = 0;  // 0: the task itself
    std::string name;
    std::string state;
    std::string cause;
    std::optional<double> since_seconds;  // since when at the earliest: so long ago
    std::string next_event;
    std::optional<double> next_in_seconds;  // negative: it is overdue
    std::int64_t blocking_step_id = 0;      // the step at the root of the wait, 0 without one
    std::vector<std::int64_t> waits_for;    // the unfinished parents, by id
    std::optional<int> ahead;               // ready steps of the same handler that go first
    int attempts = 0;
    int retry_limit = 0;
    std::string handler_class;
    std::string worker_id;
    std::string session;
    std::string detail_json;
};

struct TaskExplanation {
    Explanation task;
    std::vector<Explanation> steps;  // by id
};

/// Nothing when there is no such task.
std::optional<TaskExplanation> explain_task(postgres::Connection& connection, std::int64_t task_id);

/// {task_id, the columns of the task's own row, steps [the columns of each row]}; `step` (a name or an id)
/// leaves only that one. Nothing when there is no such task.
std::optional<std::string> explain_json(postgres::Connection& connection, std::int64_t task_id,
                                        const std::optional<std::string>& step = std::nullopt);

}  // namespace tasker::api
