#include "orchestrator/api/operate.hpp"

#include "orchestrator/api/sql.hpp"
#include "orchestrator/postgres/repeat.hpp"

namespace tasker::api {
namespace {

OperationOutcome parse_outcome(const std::string& word) {
    if (word == "done") return OperationOutcome::done;
    if (word == "unchanged") return OperationOutcome::unchanged;
    if (word == "not_found") return OperationOutcome::not_found;
    return OperationOutcome::refused;
}

Operation parse(const postgres::Result& rows) {
    const postgres::Row row = rows.at(0);
    return {parse_outcome(row["outcome"].as<std::string>()), row["code"].as<std::string>(),
            row["message"].as<std::string>(), row["json"].as<std::string>()};
}

template <typename... More>
Operation operate(postgres::Connection& connection, const char* statement, std::int64_t id,
                  const OperatorNote& note, const More&... more) {
    return postgres::repeat_while_retryable([&] {
        if (!note.dry_run) return parse(connection.query(statement, id, note.reason, note.actor, more...));
        // The same rules decide; then all is as before.
        auto transaction = connection.begin();
        Operation operation = parse(transaction.query(statement, id, note.reason, note.actor, more...));
        transaction.roll_back();
        return operation;
    });
}

}  // namespace

Operation retry_step(postgres::Connection& connection, std::int64_t step_id, const OperatorNote& note) {
    return operate(connection, sql::retry_step, step_id, note);
}

Operation resolve_step(postgres::Connection& connection, std::int64_t step_id,
                       const std::optional<std::string>& results_json, const OperatorNote& note) {
    return operate(connection, sql::resolve_step, step_id, note, results_json);
}

Operation resolve_step_with_late_result(postgres::Connection& connection, std::int64_t step_id,
                                        const OperatorNote& note) {
    return operate(connection, sql::resolve_step_late, step_id, note);
}

Operation cancel_step(postgres::Connection& connection, std::int64_t step_id, const OperatorNote& note) {
    return operate(connection, sql::cancel_step, step_id, note);
}

Operation cancel_task(postgres::Connection& connection, std::int64_t task_id, const OperatorNote& note) {
    return operate(connection, sql::cancel_task, task_id, note);
}

Operation retry_task(postgres::Connection& connection, std::int64_t task_id, const OperatorNote& note) {
    return operate(connection, sql::retry_task, task_id, note);
}

Operation replay_dead_letter(postgres::Connection& connection, std::int64_t dead_letter_id,
                             const OperatorNote& note) {
    return operate(connection, sql::replay_dead_letter, dead_letter_id, note);
}

Operation discard_dead_letter(postgres::Connection& connection, std::int64_t dead_letter_id,
                              const OperatorNote& note) {
    return operate(connection, sql::discard_dead_letter, dead_letter_id, note);
}

Operation acknowledge_batch(postgres::Connection& connection, std::int64_t batch_id,
                            const OperatorNote& note) {
    return operate(connection, sql::acknowledge_batch, batch_id, note);
}

std::string dead_letter_list_json(postgres::Connection& connection, const DeadLetterFilter& filter) {
    const ListFilter& more = filter.more;
    return connection
        .query(sql::dead_letter_list, filter.all, filter.task_id, filter.reason, filter.limit, more.before,
               more.since, more.until, more.handler, more.template_namespace, more.template_name,
               more.template_version, more.error)
        .at(0)[0]
        .as<std::string>();
}

std::optional<std::string> dead_letter_json(postgres::Connection& connection, std::int64_t dead_letter_id) {
    const auto rows = connection.query(sql::dead_letter, dead_letter_id);
    if (rows.empty()) return std::nullopt;
    return rows.at(0)[0].as<std::string>();
}

std::string request_drain_json(postgres::Connection& connection, const std::string& worker,
                               std::optional<std::int64_t> deadline_ms, bool all) {
    return postgres::repeat_while_retryable(
               [&] { return connection.query(sql::request_drain, worker, deadline_ms, all); })
        .at(0)[0]
        .as<std::string>();
}

}  // namespace tasker::api
