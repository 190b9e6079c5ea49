#include "orchestrator/store/definitions.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "orchestrator/store/repeat.hpp"

namespace tasker::store {
namespace {

constexpr const char* kRegisterTemplate =
    "SELECT named_task_id, task_template_id, revision, outcome "
    "FROM tasker_register_template($1, $2, $3, $4, $5::jsonb, $6, $7::jsonb)";

constexpr const char* kTemplateList = R"(
    SELECT coalesce(json_agg(row_to_json(x)), '[]')::text FROM (
        SELECT n.name AS namespace, nt.name, nt.version, tt.revision,
               (SELECT count(*) FROM tasker_task_template_steps s
                WHERE s.task_template_id = tt.task_template_id) AS steps,
               nt.description, tt.digest, tt.created_at,
               (SELECT count(*) FROM tasker_tasks t WHERE t.named_task_id = nt.named_task_id) AS tasks
        FROM tasker_named_tasks nt
        JOIN tasker_task_namespaces n ON n.task_namespace_id = nt.task_namespace_id
        CROSS JOIN LATERAL (SELECT r.* FROM tasker_task_templates r WHERE r.named_task_id = nt.named_task_id
                            ORDER BY r.revision DESC LIMIT 1) tt
        WHERE $1::text IS NULL OR n.name = $1
        ORDER BY n.name, nt.name, nt.version) x)";

constexpr const char* kTemplate = R"(
    SELECT row_to_json(x)::text FROM (
        SELECT n.name AS namespace, nt.name, nt.version, tt.revision, nt.description, tt.digest, tt.created_at,
               (SELECT json_agg(json_build_object('position', s.position, 'name', s.name,
                           'handler_class', s.handler_class, 'retryable', s.retryable,
                           'retry_limit', s.retry_limit, 'timeout_ms', s.timeout_ms, 'on_orphan', s.on_orphan,
                           'claim_first', s.claim_first,
                           'depends_on', (SELECT coalesce(json_agg(p.name ORDER BY p.position), '[]')
                                          FROM tasker_task_template_steps p
                                          WHERE p.task_template_id = s.task_template_id
                                            AND p.position = ANY (s.parent_positions))) ORDER BY s.position)
                FROM tasker_task_template_steps s WHERE s.task_template_id = tt.task_template_id) AS steps,
               (SELECT json_agg(json_build_object('revision', r.revision, 'digest', r.digest,
                           'created_at', r.created_at) ORDER BY r.revision)
                FROM tasker_task_templates r WHERE r.named_task_id = nt.named_task_id) AS revisions,
               tt.configuration
        FROM tasker_find_template($1, $2, $3) f
        JOIN tasker_task_templates tt ON tt.task_template_id = f.task_template_id
        JOIN tasker_named_tasks nt ON nt.named_task_id = tt.named_task_id
        JOIN tasker_task_namespaces n ON n.task_namespace_id = nt.task_namespace_id) x)";

std::int64_t timeout_ms(const templates::StepTemplate& step) {
    return std::max<std::int64_t>(1, std::llround(step.timeout_seconds * 1000));
}

/// The steps as tasker_register_template() takes them: positions count from 1 in topological order.
nlohmann::json steps_json(const templates::Template& definition) {
    std::unordered_map<std::string_view, int> positions;
    nlohmann::json steps = nlohmann::json::array();
    for (const auto& step : definition.steps) {
        const int position = static_cast<int>(positions.size()) + 1;
        nlohmann::json parents = nlohmann::json::array();
        for (const auto& parent : step.depends_on) parents.push_back(positions.at(parent));
        positions.emplace(step.name, position);
        steps.push_back({{"position", position},
                         {"name", step.name},
                         {"description", step.description},
                         {"handler_class", step.handler_class},
                         {"dependent_system", step.dependent_system},
                         {"retryable", step.retryable},
                         {"retry_limit", step.retry_limit},
                         {"timeout_ms", timeout_ms(step)},
                         {"on_orphan", templates::to_string(step.on_orphan)},
                         {"claim_first", step.claim_first},
                         {"parents", std::move(parents)}});
    }
    return steps;
}

RegistrationOutcome outcome_from(const std::string& text) {
    if (text == "created") return RegistrationOutcome::created;
    return text == "revised" ? RegistrationOutcome::revised : RegistrationOutcome::unchanged;
}

}  // namespace

std::string_view to_string(RegistrationOutcome outcome) {
    switch (outcome) {
        case RegistrationOutcome::created:
            return "created";
        case RegistrationOutcome::revised:
            return "revised";
        case RegistrationOutcome::unchanged:
            return "unchanged";
    }
    return "unchanged";
}

RegisteredTemplate register_template(Transaction& transaction, const templates::Template& definition) {
    const auto rows =
        transaction.query(kRegisterTemplate, definition.namespace_name, definition.name, definition.version,
                          definition.description, templates::to_configuration(definition).dump(),
                          templates::digest(definition), steps_json(definition).dump());
    const auto row = rows.at(0);
    return {row["named_task_id"].as<std::int32_t>(), row["task_template_id"].as<std::int32_t>(),
            row["revision"].as<std::int32_t>(), outcome_from(row["outcome"].as<std::string>())};
}

std::vector<RegisteredTemplate> register_templates(Connection& connection,
                                                   const std::vector<templates::Template>& definitions) {
    return repeat_while_retryable([&] {
        std::vector<RegisteredTemplate> registered;
        registered.reserve(definitions.size());
        Transaction transaction = connection.begin();
        for (const auto& definition : definitions) {
            registered.push_back(register_template(transaction, definition));
        }
        transaction.commit();
        return registered;
    });
}

RegisteredTemplate register_template(Connection& connection, const templates::Template& definition) {
    return register_templates(connection, {definition}).front();
}

std::string template_list_json(Connection& connection, const std::optional<std::string>& namespace_name) {
    return connection.query(kTemplateList, namespace_name).at(0)[0].as<std::string>();
}

std::optional<std::string> template_json(Connection& connection, const std::string& namespace_name,
                                         const std::string& name, const std::optional<std::string>& version) {
    const auto rows = connection.query(kTemplate, namespace_name, name, version);
    if (rows.empty()) return std::nullopt;
    return rows.at(0)[0].as<std::string>();
}

}  // namespace tasker::store
