// What operators do: retry, resolve and cancel steps and tasks, dead letters, draining workers. Thin callers
// of the functions of migrations/functions/operate, which hold all the rules; every interface for people goes
// through here. Deadlocks and serialization failures are repeated; everything else is thrown as
// DatabaseError.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "orchestrator/api/query.hpp"
#include "orchestrator/postgres/connection.hpp"

namespace tasker::api {

/// Why, and who: kept in the histories and on dead letters. Empty texts are not kept. A dry run answers as if it had
/// been done, and changes nothing.
struct OperatorNote {
    std::string reason;
    std::string actor;
    bool dry_run = false;
};

enum class OperationOutcome {
    done,
    unchanged,  // it was so already: repeating an operation is no fault
    refused,    // the state forbids it; nothing was changed
    not_found,
};

/// The row that such a function returned. `code` is empty when done; `json` is the whole row (type
/// tasker_operation) with all its columns.
struct Operation {
    OperationOutcome outcome = OperationOutcome::refused;
    std::string code;
    std::string message;
    std::string json;
};

/// error → pending, with as many further attempts as the template gives.
Operation retry_step(postgres::Connection& connection, std::int64_t step_id, const OperatorNote& note);
/// error → resolved_manually; children get `results` (JSON text), or null without.
Operation resolve_step(postgres::Connection& connection, std::int64_t step_id,
                       const std::optional<std::string>& results_json, const OperatorNote& note);
/// The same with the output its last attempt reported too late, kept on its dead letter.
Operation resolve_step_with_late_result(postgres::Connection& connection, std::int64_t step_id,
                                        const OperatorNote& note);
/// A step that has not ended, and all that depend on it, become cancelled.
Operation cancel_step(postgres::Connection& connection, std::int64_t step_id, const OperatorNote& note);

/// pending, in_progress or error → cancelled, with all steps that have not ended.
Operation cancel_task(postgres::Connection& connection, std::int64_t task_id, const OperatorNote& note);
/// Retries every step in error.
Operation retry_task(postgres::Connection& connection, std::int64_t task_id, const OperatorNote& note);

/// Retries the step of an open dead letter, if it is still at that attempt.
Operation replay_dead_letter(postgres::Connection& connection, std::int64_t dead_letter_id,
                             const OperatorNote& note);
/// Closes a dead letter; its step stays in error.
Operation discard_dead_letter(postgres::Connection& connection, std::int64_t dead_letter_id,
                              const OperatorNote& note);

/// Closes the discrepancies of a batch: somebody has looked at them.
Operation acknowledge_batch(postgres::Connection& connection, std::int64_t batch_id,
                            const OperatorNote& note);

struct DeadLetterFilter {
    bool all = false;  // closed ones too
    std::optional<std::int64_t> task_id = std::nullopt;
    std::optional<std::string> reason = std::nullopt;
    int limit = 50;
    ListFilter more = {};
};
/// Rows of tasker_dead_letter_details as JSON, newest first.
std::string dead_letter_list_json(postgres::Connection& connection, const DeadLetterFilter& filter);
/// One of them with the history of its step as transitions[]. Nothing when there is none.
std::optional<std::string> dead_letter_json(postgres::Connection& connection, std::int64_t dead_letter_id);

/// Asks the live session of this worker, or this session, to drain: the rows of tasker_request_drain as JSON;
/// `[]` when there is no such worker. Without a deadline the worker's own rule holds. Several live sessions of one
/// name are asked only with `all`; otherwise nothing changes and their outcome is `ambiguous`.
std::string request_drain_json(postgres::Connection& connection, const std::string& worker,
                               std::optional<std::int64_t> deadline_ms, bool all = false);

}  // namespace tasker::api
