// Reading for people and scripts: each function answers with JSON text whose keys are the columns of the
// schema, as the command line prints it with --json and the HTTP interface will. Numbers are as exact as the
// database holds them. Nothing here writes, and nothing here is on the hot path. All throw DatabaseError.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "orchestrator/store/connection.hpp"

namespace tasker::store {

/// Which tasks or batches to list, newest first. Empty fields select everything.
struct TaskFilter {
    std::optional<std::string> state = std::nullopt;
    std::optional<std::string> namespace_name = std::nullopt;
    int limit = 50;
};
struct BatchFilter {
    std::optional<std::int64_t> task_id = std::nullopt;
    std::optional<std::string> state = std::nullopt;
    int limit = 50;
};

/// [{task_id, namespace, name, version, state, priority, open_steps, movable_steps, total_steps, …}].
std::string task_list_json(Connection& connection, const TaskFilter& filter);

/// The columns of tasker_tasks with namespace, name, version, execution (get_task_execution_context) and
/// steps[] in topological order, each with all its columns and depends_on [names]; with `history` also
/// transitions[] of the task and of each step. Nothing when there is no such task.
std::optional<std::string> task_json(Connection& connection, std::int64_t task_id, bool history = false);

/// [{task_id, step_count, step_mapping {name: id}, namespace, name, version, state}] for those that exist, by
/// id.
std::string task_mappings_json(Connection& connection, std::span<const std::int64_t> task_ids);

/// What a waiting caller needs of one task, in one round trip.
struct TaskProgress {
    std::int64_t task_id = 0;
    std::string state;
    int total_steps = 0;
    int completed_steps = 0;
};
/// By task id; tasks that do not exist are left out.
std::vector<TaskProgress> task_progress(Connection& connection, std::span<const std::int64_t> task_ids);

/// One step as the live tree shows it. `parents` are indexes into the list.
struct StepProgress {
    std::int64_t workflow_step_id = 0;
    std::string name;
    std::string state;
    int attempts = 0;
    int retry_limit = 0;
    std::string error;               // the message of the last error, "" without one
    std::optional<double> retry_in;  // seconds until the next attempt may start
    std::optional<double> took;      // seconds from the last attempt's start to its end
    std::vector<std::size_t> parents;
};
/// The steps of a task in topological order (ascending id).
std::vector<StepProgress> step_progress(Connection& connection, std::int64_t task_id);

/// [{batch_id, batch_uuid, task_id, handler_class, state, reconciliation_status, batch_size, …}].
std::string batch_list_json(Connection& connection, const BatchFilter& filter);

/// All columns of the batch with namespace, worker_id, steps[] (its join rows with step names and states),
/// received_results[] (the ledger, raw_message_json as it came), transitions[] and discrepancies[]. `id` is a
/// batch_id or a batch_uuid. Nothing when there is none.
std::optional<std::string> batch_json(Connection& connection, const std::string& id);

/// The rows of tasker_reconciliation_discrepancies, newest batch first.
std::string discrepancies_json(Connection& connection, int limit);

/// The rows of tasker_workers with heartbeat_age_ms, live ones first.
std::string worker_list_json(Connection& connection, bool all);

/// {lanes: [rows of tasker_orchestrators with last_seen_age_ms], workers: {state: count}, counts: the columns
/// of get_system_health_counts()}.
std::string health_json(Connection& connection);

}  // namespace tasker::store
