#include "orchestrator/store/queries_explain.hpp"

#include <charconv>
#include <utility>

namespace tasker::store {
namespace {

constexpr const char* kExplain = R"(
    SELECT e.workflow_step_id, e.name, e.state, e.cause, extract(epoch FROM n.now - e.since)::float8 AS since,
           e.next_event, extract(epoch FROM e.next_at - n.now)::float8 AS next_in, e.blocking_step_id,
           array_to_string(e.waits_for, ',') AS waits_for, e.ahead, e.attempts, e.retry_limit, e.handler_class,
           e.worker_id, e.session, e.detail::text AS detail
    FROM (SELECT clock_timestamp() AS now OFFSET 0) n CROSS JOIN LATERAL tasker_explain_task($1, n.now) e)";

// The whole list is made by the server, so that numbers and times are as exact as it holds them.
constexpr const char* kExplainJson = R"(
    WITH rows AS MATERIALIZED (SELECT * FROM tasker_explain_task($1))
    SELECT row_to_json(x)::text FROM (
        SELECT $1::bigint AS task_id, t.state, t.cause, t.since, t.next_event, t.next_at, t.blocking_step_id, t.detail,
               (SELECT coalesce(json_agg(row_to_json(s) ORDER BY s.workflow_step_id), '[]') FROM rows s
                WHERE s.workflow_step_id IS NOT NULL
                  AND ($2::text IS NULL OR s.name = $2 OR s.workflow_step_id::text = $2)) AS steps
        FROM rows t WHERE t.workflow_step_id IS NULL) x)";

std::string text_of(const pqxx::field& field) {
    return field.is_null() ? std::string() : field.as<std::string>();
}

template <typename Value>
std::optional<Value> value_of(const pqxx::field& field) {
    return field.is_null() ? std::nullopt : std::optional(field.as<Value>());
}

std::vector<std::int64_t> ids_of(const pqxx::field& field) {
    std::vector<std::int64_t> ids;
    const std::string text = text_of(field);
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at < end) {
        std::int64_t id = 0;
        at = std::from_chars(at, end, id).ptr + 1;
        ids.push_back(id);
    }
    return ids;
}

}  // namespace

std::optional<TaskExplanation> explain_task(Connection& connection, std::int64_t task_id) {
    const auto rows = connection.query(kExplain, task_id);
    if (rows.empty()) return std::nullopt;
    TaskExplanation result;
    result.steps.reserve(rows.size() - 1);
    for (const auto& row : rows) {
        Explanation one;
        one.workflow_step_id = value_of<std::int64_t>(row["workflow_step_id"]).value_or(0);
        one.name = text_of(row["name"]);
        one.state = text_of(row["state"]);
        one.cause = text_of(row["cause"]);
        one.since_seconds = value_of<double>(row["since"]);
        one.next_event = text_of(row["next_event"]);
        one.next_in_seconds = value_of<double>(row["next_in"]);
        one.blocking_step_id = value_of<std::int64_t>(row["blocking_step_id"]).value_or(0);
        one.waits_for = ids_of(row["waits_for"]);
        one.ahead = value_of<int>(row["ahead"]);
        one.attempts = value_of<int>(row["attempts"]).value_or(0);
        one.retry_limit = value_of<int>(row["retry_limit"]).value_or(0);
        one.handler_class = text_of(row["handler_class"]);
        one.worker_id = text_of(row["worker_id"]);
        one.session = text_of(row["session"]);
        one.detail_json = text_of(row["detail"]);
        if (one.workflow_step_id == 0) {
            result.task = std::move(one);
        } else {
            result.steps.push_back(std::move(one));
        }
    }
    return result;
}

std::optional<std::string> explain_json(Connection& connection, std::int64_t task_id,
                                        const std::optional<std::string>& step) {
    const auto rows = connection.query(kExplainJson, task_id, step);
    if (rows.empty()) return std::nullopt;
    return rows.at(0)[0].as<std::string>();
}

}  // namespace tasker::store
