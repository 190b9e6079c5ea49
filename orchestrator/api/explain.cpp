#include "orchestrator/api/explain.hpp"

#include <charconv>
#include <utility>

#include "orchestrator/api/sql.hpp"

namespace tasker::api {
namespace {

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

std::optional<TaskExplanation> explain_task(postgres::Connection& connection, std::int64_t task_id) {
    const auto rows = connection.query(sql::explain_task, task_id);
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

std::optional<std::string> explain_json(postgres::Connection& connection, std::int64_t task_id,
                                        const std::optional<std::string>& step) {
    const auto rows = connection.query(sql::explain_task_json, task_id, step);
    if (rows.empty()) return std::nullopt;
    return rows.at(0)[0].as<std::string>();
}

}  // namespace tasker::api
