#include <nlohmann/json.hpp>
#include <unordered_map>

#include "orchestrator/api/query.hpp"
#include "orchestrator/api/sql.hpp"
#include "orchestrator/postgres/array_text.hpp"

namespace tasker::api {
namespace {

std::string id_array(std::span<const std::int64_t> ids) {
    postgres::ArrayText text;
    for (const auto id : ids) text.add(id);
    return text.take();
}

std::optional<double> seconds(const pqxx::field& field) {
    return field.is_null() ? std::nullopt : std::optional(field.as<double>());
}

}  // namespace

std::string task_list_json(postgres::Connection& connection, const TaskFilter& filter) {
    const ListFilter& more = filter.more;
    nlohmann::json values = nlohmann::json::array();
    for (const auto& [path, value] : filter.context_values)
        values.push_back({{"path", path}, {"value", value}});
    return connection
        .query(sql::task_list, filter.state, filter.namespace_name, filter.limit, more.before, more.since,
               more.until, more.handler, more.template_namespace, more.template_name, more.template_version,
               more.error, nlohmann::json(filter.tags).dump(), values.dump())
        .at(0)[0]
        .as<std::string>();
}

std::optional<std::string> task_json(postgres::Connection& connection, std::int64_t task_id, bool history) {
    const auto rows = connection.query(sql::task, task_id, history);
    if (rows.empty()) return std::nullopt;
    return rows.at(0)[0].as<std::string>();
}

std::optional<std::string> step_json(postgres::Connection& connection, std::int64_t step_id) {
    const auto rows = connection.query(sql::step, step_id);
    if (rows.empty()) return std::nullopt;
    return rows.at(0)[0].as<std::string>();
}

std::string attention_json(postgres::Connection& connection, int limit, double stuck_seconds) {
    return connection.query(sql::attention, limit, stuck_seconds).at(0)[0].as<std::string>();
}

std::string task_mappings_json(postgres::Connection& connection, std::span<const std::int64_t> task_ids) {
    return connection.query(sql::task_mappings, id_array(task_ids)).at(0)[0].as<std::string>();
}

std::vector<TaskProgress> task_progress(postgres::Connection& connection,
                                        std::span<const std::int64_t> task_ids) {
    std::vector<TaskProgress> result;
    for (const auto& row : connection.query(sql::task_progress, id_array(task_ids))) {
        result.push_back({row["task_id"].as<std::int64_t>(), row["state"].as<std::string>(),
                          row["total"].as<int>(), row["completed"].as<int>()});
    }
    return result;
}

Missing who_is_missing(postgres::Connection& connection, std::span<const std::int64_t> task_ids) {
    const auto rows = connection.query(sql::nobody_serves, id_array(task_ids));
    const auto row = rows.at(0);
    Missing missing;
    missing.orchestrator = row["orchestrator_down"].as<bool>();
    for (const auto& handler : nlohmann::json::parse(row["handlers"].as<std::string>())) {
        missing.handlers.push_back(handler["handler_class"].get<std::string>() + " (namespace " +
                                   handler["namespace"].get<std::string>() + ")");
    }
    return missing;
}

std::vector<StepProgress> step_progress(postgres::Connection& connection, std::int64_t task_id) {
    std::vector<StepProgress> steps;
    std::unordered_map<std::int64_t, std::size_t> places;
    for (const auto& row : connection.query(sql::step_progress, task_id)) {
        StepProgress step;
        step.workflow_step_id = row["workflow_step_id"].as<std::int64_t>();
        step.name = row["name"].as<std::string>();
        step.state = row["state"].as<std::string>();
        step.attempts = row["attempts"].as<int>();
        step.retry_limit = row["retry_limit"].as<int>();
        step.error = row["error"].as<std::string>();
        step.retry_in = seconds(row["retry_in"]);
        step.took = seconds(row["took"]);
        const auto parents = row["parents"].as<std::string>();
        for (std::size_t at = 0; at < parents.size();) {
            const auto end = std::min(parents.find(',', at), parents.size());
            const auto place = places.find(std::stoll(parents.substr(at, end - at)));
            if (place != places.end()) step.parents.push_back(place->second);
            at = end + 1;
        }
        places.emplace(step.workflow_step_id, steps.size());
        steps.push_back(std::move(step));
    }
    return steps;
}

}  // namespace tasker::api
