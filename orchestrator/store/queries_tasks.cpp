#include <unordered_map>

#include "orchestrator/store/array_text.hpp"
#include "orchestrator/store/queries.hpp"

namespace tasker::store {
namespace {

constexpr const char* kTaskList = R"(
    SELECT coalesce(json_agg(row_to_json(x)), '[]')::text FROM (
        SELECT t.task_id, n.name AS namespace, nt.name, nt.version, t.state, t.priority, t.open_steps, t.movable_steps,
               (SELECT count(*) FROM tasker_workflow_steps s WHERE s.task_id = t.task_id) AS total_steps,
               t.tags, t.initiator, t.source_system, t.reason, t.requested_at, t.not_before, t.created_at,
               t.updated_at, t.completed_at
        FROM (SELECT * FROM tasker_tasks t
              WHERE ($1::text IS NULL OR t.state = $1)
                AND ($2::text IS NULL OR t.namespace_id = (SELECT task_namespace_id FROM tasker_task_namespaces
                                                           WHERE name = $2))
              ORDER BY t.task_id DESC LIMIT $3) t
        JOIN tasker_named_tasks nt ON nt.named_task_id = t.named_task_id
        JOIN tasker_task_namespaces n ON n.task_namespace_id = t.namespace_id
        ORDER BY t.task_id DESC) x)";

constexpr const char* kTask = R"(
    SELECT row_to_json(x)::text FROM (
        SELECT t.*, n.name AS namespace, nt.name, nt.version,
               (SELECT row_to_json(c) FROM get_task_execution_context(t.task_id) c) AS execution,
               CASE WHEN $2 THEN (SELECT coalesce(json_agg(row_to_json(h) ORDER BY h.sort_key), '[]')
                                  FROM tasker_task_transitions h WHERE h.task_id = t.task_id) END AS transitions,
               (SELECT coalesce(json_agg(row_to_json(s) ORDER BY s.workflow_step_id), '[]') FROM (
                    SELECT w.*, (SELECT coalesce(json_agg(p.name ORDER BY p.workflow_step_id), '[]')
                                 FROM tasker_workflow_step_edges e
                                 JOIN tasker_workflow_steps p ON p.workflow_step_id = e.from_step_id
                                 WHERE e.to_step_id = w.workflow_step_id) AS depends_on,
                           CASE WHEN $2 THEN (SELECT coalesce(json_agg(row_to_json(h) ORDER BY h.sort_key), '[]')
                                              FROM tasker_workflow_step_transitions h
                                              WHERE h.workflow_step_id = w.workflow_step_id) END AS transitions
                    FROM tasker_workflow_steps w WHERE w.task_id = t.task_id) s) AS steps
        FROM tasker_tasks t
        JOIN tasker_named_tasks nt ON nt.named_task_id = t.named_task_id
        JOIN tasker_task_namespaces n ON n.task_namespace_id = t.namespace_id
        WHERE t.task_id = $1) x)";

constexpr const char* kMappings = R"(
    SELECT coalesce(json_agg(row_to_json(x)), '[]')::text FROM (
        SELECT t.task_id, s.step_count, s.step_mapping, n.name AS namespace, nt.name, nt.version, t.state
        FROM tasker_tasks t
        JOIN tasker_named_tasks nt ON nt.named_task_id = t.named_task_id
        JOIN tasker_task_namespaces n ON n.task_namespace_id = t.namespace_id
        CROSS JOIN LATERAL (SELECT count(*) AS step_count,
                                   json_object_agg(w.name, w.workflow_step_id ORDER BY w.workflow_step_id) AS step_mapping
                            FROM tasker_workflow_steps w WHERE w.task_id = t.task_id) s
        WHERE t.task_id = ANY ($1::bigint[]) ORDER BY t.task_id) x)";

constexpr const char* kTaskProgress = R"(
    SELECT t.task_id, t.state, s.total, s.total - t.open_steps AS completed
    FROM tasker_tasks t
    CROSS JOIN LATERAL (SELECT count(*)::int AS total FROM tasker_workflow_steps w WHERE w.task_id = t.task_id) s
    WHERE t.task_id = ANY ($1::bigint[]) ORDER BY t.task_id)";

constexpr const char* kStepProgress = R"(
    SELECT s.workflow_step_id, s.name, s.state, s.attempts - s.unstarted_attempts AS attempts, s.retry_limit,
           coalesce(s.error ->> 'message', '') AS error,
           CASE WHEN s.next_attempt_at > clock_timestamp() AND s.ready_key IS NULL
                THEN extract(epoch FROM s.next_attempt_at - clock_timestamp())::float8 END AS retry_in,
           extract(epoch FROM s.processed_at - s.last_attempted_at)::float8 AS took,
           (SELECT coalesce(string_agg(e.from_step_id::text, ',' ORDER BY e.from_step_id), '')
            FROM tasker_workflow_step_edges e WHERE e.to_step_id = s.workflow_step_id) AS parents
    FROM tasker_workflow_steps s WHERE s.task_id = $1 ORDER BY s.workflow_step_id)";

std::string id_array(std::span<const std::int64_t> ids) {
    ArrayText text;
    for (const auto id : ids) text.add(id);
    return text.take();
}

std::optional<double> seconds(const pqxx::field& field) {
    return field.is_null() ? std::nullopt : std::optional(field.as<double>());
}

}  // namespace

std::string task_list_json(Connection& connection, const TaskFilter& filter) {
    return connection.query(kTaskList, filter.state, filter.namespace_name, filter.limit)
        .at(0)[0]
        .as<std::string>();
}

std::optional<std::string> task_json(Connection& connection, std::int64_t task_id, bool history) {
    const auto rows = connection.query(kTask, task_id, history);
    if (rows.empty()) return std::nullopt;
    return rows.at(0)[0].as<std::string>();
}

std::string task_mappings_json(Connection& connection, std::span<const std::int64_t> task_ids) {
    return connection.query(kMappings, id_array(task_ids)).at(0)[0].as<std::string>();
}

std::vector<TaskProgress> task_progress(Connection& connection, std::span<const std::int64_t> task_ids) {
    std::vector<TaskProgress> result;
    for (const auto& row : connection.query(kTaskProgress, id_array(task_ids))) {
        result.push_back({row["task_id"].as<std::int64_t>(), row["state"].as<std::string>(),
                          row["total"].as<int>(), row["completed"].as<int>()});
    }
    return result;
}

std::vector<StepProgress> step_progress(Connection& connection, std::int64_t task_id) {
    std::vector<StepProgress> steps;
    std::unordered_map<std::int64_t, std::size_t> places;
    for (const auto& row : connection.query(kStepProgress, task_id)) {
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

}  // namespace tasker::store
