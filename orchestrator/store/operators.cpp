#include "orchestrator/store/operators.hpp"

#include "orchestrator/store/repeat.hpp"

namespace tasker::store {
namespace {

constexpr const char* kRetryStep = "tasker_retry_step($1, NULL, $2, $3)";
constexpr const char* kResolveStep = "tasker_resolve_step($1, $4::jsonb, $2, $3)";
constexpr const char* kResolveStepLate = "tasker_resolve_step($1, NULL, $2, $3, true)";
constexpr const char* kCancelStep = "tasker_cancel_step($1, $2, $3)";
constexpr const char* kCancelTask = "tasker_cancel_task($1, $2, $3)";
constexpr const char* kRetryTask = "tasker_retry_task($1, $2, $3)";
constexpr const char* kReplay = "tasker_replay_dead_letter($1, $2, $3)";
constexpr const char* kDiscard = "tasker_discard_dead_letter($1, $2, $3)";

constexpr const char* kDeadLetters = R"(
    SELECT coalesce(json_agg(row_to_json(x)), '[]')::text FROM (
        SELECT * FROM tasker_dead_letter_details d
        WHERE ($1 OR d.is_open) AND ($2::bigint IS NULL OR d.task_id = $2) AND ($3::text IS NULL OR d.reason = $3)
        ORDER BY d.dead_letter_id DESC LIMIT $4) x)";

constexpr const char* kDeadLetter = R"(
    SELECT row_to_json(x)::text FROM (
        SELECT d.*, (SELECT coalesce(json_agg(row_to_json(h) ORDER BY h.sort_key), '[]')
                     FROM tasker_workflow_step_transitions h
                     WHERE h.workflow_step_id = d.workflow_step_id) AS transitions
        FROM tasker_dead_letter_details d WHERE d.dead_letter_id = $1) x)";

constexpr const char* kDrain = R"(
    SELECT coalesce(json_agg(row_to_json(r)), '[]')::text FROM tasker_request_drain($1, $2) r)";

OperationOutcome parse_outcome(const std::string& word) {
    if (word == "done") return OperationOutcome::done;
    if (word == "unchanged") return OperationOutcome::unchanged;
    if (word == "not_found") return OperationOutcome::not_found;
    return OperationOutcome::refused;
}

Operation parse(const Result& rows) {
    const Row row = rows.at(0);
    return {parse_outcome(row[0].as<std::string>()), row[1].as<std::string>(), row[2].as<std::string>(),
            row[3].as<std::string>()};
}

template <typename... More>
Operation operate(Connection& connection, const char* call, std::int64_t id, const OperatorNote& note,
                  const More&... more) {
    // The row in parts and as a whole.
    const std::string sql =
        std::string("SELECT r.outcome, coalesce(r.code, ''), r.message, row_to_json(r)::text FROM ") + call +
        " r";
    return parse(
        repeat_while_retryable([&] { return connection.query(sql, id, note.reason, note.actor, more...); }));
}

}  // namespace

Operation retry_step(Connection& connection, std::int64_t step_id, const OperatorNote& note) {
    return operate(connection, kRetryStep, step_id, note);
}

Operation resolve_step(Connection& connection, std::int64_t step_id,
                       const std::optional<std::string>& results_json, const OperatorNote& note) {
    return operate(connection, kResolveStep, step_id, note, results_json);
}

Operation resolve_step_with_late_result(Connection& connection, std::int64_t step_id,
                                        const OperatorNote& note) {
    return operate(connection, kResolveStepLate, step_id, note);
}

Operation cancel_step(Connection& connection, std::int64_t step_id, const OperatorNote& note) {
    return operate(connection, kCancelStep, step_id, note);
}

Operation cancel_task(Connection& connection, std::int64_t task_id, const OperatorNote& note) {
    return operate(connection, kCancelTask, task_id, note);
}

Operation retry_task(Connection& connection, std::int64_t task_id, const OperatorNote& note) {
    return operate(connection, kRetryTask, task_id, note);
}

Operation replay_dead_letter(Connection& connection, std::int64_t dead_letter_id, const OperatorNote& note) {
    return operate(connection, kReplay, dead_letter_id, note);
}

Operation discard_dead_letter(Connection& connection, std::int64_t dead_letter_id, const OperatorNote& note) {
    return operate(connection, kDiscard, dead_letter_id, note);
}

std::string dead_letter_list_json(Connection& connection, const DeadLetterFilter& filter) {
    return connection.query(kDeadLetters, filter.all, filter.task_id, filter.reason, filter.limit)
        .at(0)[0]
        .as<std::string>();
}

std::optional<std::string> dead_letter_json(Connection& connection, std::int64_t dead_letter_id) {
    const auto rows = connection.query(kDeadLetter, dead_letter_id);
    if (rows.empty()) return std::nullopt;
    return rows.at(0)[0].as<std::string>();
}

std::string request_drain_json(Connection& connection, const std::string& worker,
                               std::optional<std::int64_t> deadline_ms) {
    return repeat_while_retryable([&] { return connection.query(kDrain, worker, deadline_ms); })
        .at(0)[0]
        .as<std::string>();
}

}  // namespace tasker::store
