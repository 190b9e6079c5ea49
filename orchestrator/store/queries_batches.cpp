#include <algorithm>
#include <cctype>

#include "orchestrator/store/queries.hpp"

namespace tasker::store {
namespace {

constexpr const char* kBatchList = R"(
    SELECT coalesce(json_agg(row_to_json(x)), '[]')::text FROM (
        SELECT b.batch_id, b.batch_uuid, b.task_id, n.name AS namespace, b.handler_class, b.state,
               b.reconciliation_status, b.batch_size, b.partial_results_received, b.final_completion_received,
               b.session, w.worker_id, b.epoch, b.turn, b.created_at, b.updated_at
        FROM tasker_step_execution_batches b
        LEFT JOIN tasker_handler_keys k ON k.handler_key = b.handler_key
        LEFT JOIN tasker_task_namespaces n ON n.task_namespace_id = k.namespace_id
        LEFT JOIN tasker_workers w ON w.session = b.session
        WHERE ($1::bigint IS NULL OR b.batch_id IN (
                   SELECT bs.batch_id FROM tasker_workflow_steps s
                   JOIN tasker_step_execution_batch_steps bs ON bs.workflow_step_id = s.workflow_step_id
                   WHERE s.task_id = $1))
          AND ($2::text IS NULL OR b.state = $2)
        ORDER BY b.batch_id DESC LIMIT $3) x)";

constexpr const char* kBatch = R"(
    SELECT row_to_json(x)::text FROM (
        SELECT b.*, n.name AS namespace, w.worker_id,
               (SELECT coalesce(json_agg(row_to_json(j) ORDER BY j.sequence_order), '[]') FROM (
                    SELECT bs.*, s.task_id, s.name, s.state, s.attempts
                    FROM tasker_step_execution_batch_steps bs
                    LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
                    WHERE bs.batch_id = b.batch_id) j) AS steps,
               (SELECT coalesce(json_agg(row_to_json(l) ORDER BY l.id), '[]') FROM (
                    SELECT r.*, bs.workflow_step_id, s.name
                    FROM tasker_step_execution_batch_received_results r
                    LEFT JOIN tasker_step_execution_batch_steps bs
                        ON bs.batch_id = r.batch_id AND bs.id = r.batch_step_id
                    LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
                    WHERE r.batch_id = b.batch_id) l) AS received_results,
               (SELECT coalesce(json_agg(row_to_json(h) ORDER BY h.sort_key), '[]')
                FROM tasker_step_execution_batch_transitions h WHERE h.batch_id = b.batch_id) AS transitions,
               coalesce(b.metadata -> 'discrepancies', '[]') AS discrepancies
        FROM tasker_step_execution_batches b
        LEFT JOIN tasker_handler_keys k ON k.handler_key = b.handler_key
        LEFT JOIN tasker_task_namespaces n ON n.task_namespace_id = k.namespace_id
        LEFT JOIN tasker_workers w ON w.session = b.session
        WHERE b.batch_id = $1::bigint OR b.batch_uuid = $2) x)";

constexpr const char* kDiscrepancies = R"(
    SELECT coalesce(json_agg(row_to_json(x)), '[]')::text FROM (
        SELECT * FROM tasker_reconciliation_discrepancies d
        ORDER BY d.batch_id DESC, d.workflow_step_id, d.kind LIMIT $1) x)";

constexpr const char* kWorkers = R"(
    SELECT coalesce(json_agg(row_to_json(x)), '[]')::text FROM (
        SELECT w.*, (extract(epoch FROM clock_timestamp() - w.last_heartbeat_at) * 1000)::bigint AS heartbeat_age_ms
        FROM tasker_workers w WHERE $1 OR w.state NOT IN ('lost', 'gone')
        ORDER BY w.state IN ('lost', 'gone'), w.worker_id, w.first_seen_at) x)";

constexpr const char* kHealth = R"(
    SELECT json_build_object(
        'lanes', (SELECT coalesce(json_agg(row_to_json(l) ORDER BY l.lane), '[]') FROM (
                      SELECT o.*, (extract(epoch FROM clock_timestamp() - o.last_seen_at) * 1000)::bigint
                          AS last_seen_age_ms FROM tasker_orchestrators o) l),
        'workers', (SELECT coalesce(json_object_agg(w.state, w.count), '{}')
                    FROM (SELECT state, count(*) FROM tasker_workers GROUP BY state ORDER BY state) w),
        'counts', (SELECT row_to_json(c) FROM get_system_health_counts() c))::text)";

}  // namespace

std::string batch_list_json(Connection& connection, const BatchFilter& filter) {
    return connection.query(kBatchList, filter.task_id, filter.state, filter.limit)
        .at(0)[0]
        .as<std::string>();
}

std::optional<std::string> batch_json(Connection& connection, const std::string& id) {
    // 18 digits always fit a bigint; a uuid has letters or dashes.
    const bool is_number =
        !id.empty() && id.size() <= 18 &&
        std::all_of(id.begin(), id.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
    const auto number = is_number ? std::optional(id) : std::nullopt;
    const auto uuid = is_number ? std::nullopt : std::optional(id);
    const auto rows = connection.query(kBatch, number, uuid);
    if (rows.empty()) return std::nullopt;
    return rows.at(0)[0].as<std::string>();
}

std::string discrepancies_json(Connection& connection, int limit) {
    return connection.query(kDiscrepancies, limit).at(0)[0].as<std::string>();
}

std::string worker_list_json(Connection& connection, bool all) {
    return connection.query(kWorkers, all).at(0)[0].as<std::string>();
}

std::string health_json(Connection& connection) {
    return connection.execute(kHealth).at(0)[0].as<std::string>();
}

}  // namespace tasker::store
