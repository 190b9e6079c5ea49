// Reading for people and scripts: each function answers with JSON text whose keys are the columns of the
// schema, as the command line prints it with --json and the HTTP interface will. Numbers are as exact as the
// database holds them. Nothing here writes, and nothing here is on the hot path. All throw DatabaseError.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "orchestrator/postgres/connection.hpp"

namespace tasker::api {

/// What tasks, batches and dead letters can all be selected by. Empty fields select everything. Times are as
/// PostgreSQL reads them; `error` is a part of an error's type, code or message, in any case of letters.
struct ListFilter {
    std::optional<std::int64_t> before = std::nullopt;  // ids below this one only
    std::optional<std::string> since = std::nullopt;    // made at this time or later
    std::optional<std::string> until = std::nullopt;    // made before this time
    std::optional<std::string> handler = std::nullopt;  // a handler class
    std::optional<std::string> template_namespace = std::nullopt;
    std::optional<std::string> template_name = std::nullopt;
    std::optional<std::string> template_version = std::nullopt;
    std::optional<std::string> error = std::nullopt;
};

/// A value in a task's context: the keys (and positions in lists) that lead to it, and the value as text.
struct ContextValue {
    std::vector<std::string> path;
    std::string value;
};

/// Which tasks or batches to list, newest first. Empty fields select everything.
struct TaskFilter {
    std::optional<std::string> state = std::nullopt;
    std::optional<std::string> namespace_name = std::nullopt;
    int limit = 50;
    ListFilter more = {};
    std::vector<std::string> tags = {};             // all of these
    std::vector<ContextValue> context_values = {};  // all of these
};
struct BatchFilter {
    std::optional<std::int64_t> task_id = std::nullopt;
    std::optional<std::string> state = std::nullopt;
    int limit = 50;
    ListFilter more = {};
};

/// [{task_id, namespace, name, version, state, priority, open_steps, movable_steps, total_steps, …}].
std::string task_list_json(postgres::Connection& connection, const TaskFilter& filter);

/// The columns of tasker_tasks with namespace, name, version, execution (get_task_execution_context) and
/// steps[] in topological order, each with all its columns and depends_on [names]; those that failed or were repeated
/// with attempt_history[] (tasker_step_attempts). With `history` also transitions[] of the task and of each step.
/// Nothing when there is no such task.
std::optional<std::string> task_json(postgres::Connection& connection, std::int64_t task_id,
                                     bool history = false);

/// The columns of one step with namespace, task_name, version, task_state, depends_on [names], attempt_history[] and
/// dead_letter_id (of an open one). Nothing when there is no such step.
std::optional<std::string> step_json(postgres::Connection& connection, std::int64_t step_id);

/// What needs somebody: {orchestrator, failed_tasks, dead_letters, unserved_handlers, discrepancies, stuck_tasks}, each
/// {total, items[]} with at most `limit` items, each with `since`. A failed task with an open dead letter stands there
/// only. A task is stuck when nothing of it has moved for `stuck_seconds` and no cause is known.
std::string attention_json(postgres::Connection& connection, int limit, double stuck_seconds);

/// [{task_id, step_count, step_mapping {name: id}, namespace, name, version, state}] for those that exist, by
/// id.
std::string task_mappings_json(postgres::Connection& connection, std::span<const std::int64_t> task_ids);

/// What a waiting caller needs of one task, in one round trip.
struct TaskProgress {
    std::int64_t task_id = 0;
    std::string state;
    int total_steps = 0;
    int completed_steps = 0;
};
/// By task id; tasks that do not exist are left out.
std::vector<TaskProgress> task_progress(postgres::Connection& connection,
                                        std::span<const std::int64_t> task_ids);

/// Who is missing right now for the first steps of these tasks.
struct Missing {
    bool orchestrator = false;          // none drives this database
    std::vector<std::string> handlers;  // "Class (namespace ns)": no worker serves it
};
Missing who_is_missing(postgres::Connection& connection, std::span<const std::int64_t> task_ids);

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
std::vector<StepProgress> step_progress(postgres::Connection& connection, std::int64_t task_id);

/// [{batch_id, batch_uuid, task_id, handler_class, state, reconciliation_status, batch_size, …}].
std::string batch_list_json(postgres::Connection& connection, const BatchFilter& filter);

/// All columns of the batch with namespace, worker_id, steps[] (its join rows with step names and states),
/// received_results[] (the ledger, raw_message_json as it came), transitions[] and discrepancies[]. `id` is a
/// batch_id or a batch_uuid. Nothing when there is none.
std::optional<std::string> batch_json(postgres::Connection& connection, const std::string& id);

/// The rows of tasker_reconciliation_discrepancies, newest batch first: those that nothing explains and nobody
/// has acknowledged, or all.
std::string discrepancies_json(postgres::Connection& connection, int limit, bool all);

/// The rows of tasker_workers with heartbeat_age_ms, live ones first.
std::string worker_list_json(postgres::Connection& connection, bool all);

/// Rows of tasker_rejected_messages, newest first, with worker_id, bytes, and the message itself: raw_text where it is
/// readable UTF-8, else raw_hex. Of long ones only the first 64 KiB.
std::string rejected_json(postgres::Connection& connection, int limit);

/// [{session, worker_id, state, in_flight}] of these sessions, in this order.
std::string session_states_json(postgres::Connection& connection, std::span<const std::string> sessions);

/// {lanes: [rows of tasker_orchestrators with last_seen_age_ms], orchestrators: [{role (active or standby), instance,
/// host, pid, state, started_at, last_seen_age_ms}], workers: {state: count}, counts: the columns
/// of get_system_health_counts()}.
std::string health_json(postgres::Connection& connection);

}  // namespace tasker::api
