#include "orchestrator/api/definitions.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "orchestrator/api/sql.hpp"
#include "orchestrator/postgres/repeat.hpp"

namespace tasker::api {
namespace {

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
        nlohmann::json results_from = nlohmann::json::array();
        for (const auto& ancestor : step.results_from) results_from.push_back(positions.at(ancestor));
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
                         {"parents", std::move(parents)},
                         {"results_from", std::move(results_from)}});
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

RegisteredTemplate register_template(postgres::Transaction& transaction,
                                     const templates::Template& definition) {
    const auto rows = transaction.query(sql::register_template, definition.namespace_name, definition.name,
                                        definition.version, definition.description,
                                        templates::to_configuration(definition).dump(),
                                        templates::digest(definition), steps_json(definition).dump());
    const auto row = rows.at(0);
    return {row["named_task_id"].as<std::int64_t>(), row["task_template_id"].as<std::int64_t>(),
            row["revision"].as<std::int32_t>(), outcome_from(row["outcome"].as<std::string>())};
}

std::vector<RegisteredTemplate> register_templates(postgres::Connection& connection,
                                                   const std::vector<templates::Template>& definitions) {
    return postgres::repeat_while_retryable([&] {
        std::vector<RegisteredTemplate> registered;
        registered.reserve(definitions.size());
        postgres::Transaction transaction = connection.begin();
        for (const auto& definition : definitions) {
            registered.push_back(register_template(transaction, definition));
        }
        transaction.commit();
        return registered;
    });
}

RegisteredTemplate register_template(postgres::Connection& connection,
                                     const templates::Template& definition) {
    return register_templates(connection, {definition}).front();
}

std::string template_list_json(postgres::Connection& connection,
                               const std::optional<std::string>& namespace_name) {
    return connection.query(sql::template_list, namespace_name).at(0)[0].as<std::string>();
}

std::optional<std::string> template_json(postgres::Connection& connection, const std::string& namespace_name,
                                         const std::string& name, const std::optional<std::string>& version) {
    const auto rows = connection.query(sql::template_details, namespace_name, name, version);
    if (rows.empty()) return std::nullopt;
    return rows.at(0)[0].as<std::string>();
}

}  // namespace tasker::api
