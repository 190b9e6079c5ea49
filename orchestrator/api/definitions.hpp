// Task definitions in the database: registering templates, and asking for those that are there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/postgres/connection.hpp"
#include "orchestrator/templates/template.hpp"

namespace tasker::api {

enum class RegistrationOutcome {
    created,   // the first revision of this namespace, name and version
    revised,   // content differs from the newest revision: it became the next one; running tasks keep theirs
    unchanged  // the newest revision has the same content; nothing was written
};
std::string_view to_string(RegistrationOutcome outcome);

struct RegisteredTemplate {
    std::int64_t named_task_id = 0;
    std::int64_t task_template_id = 0;
    std::int32_t revision = 0;
    RegistrationOutcome outcome = RegistrationOutcome::unchanged;
};

/// Registers one template inside the caller's transaction; it counts once that commits. Throws DatabaseError.
RegisteredTemplate register_template(postgres::Transaction& transaction,
                                     const templates::Template& definition);

/// Registers all templates in one transaction, in order: all of them or, when this throws DatabaseError,
/// none. Running orchestrators are notified at the commit.
std::vector<RegisteredTemplate> register_templates(postgres::Connection& connection,
                                                   const std::vector<templates::Template>& definitions);

/// The one-template form of register_templates().
RegisteredTemplate register_template(postgres::Connection& connection, const templates::Template& definition);

/// A JSON array of all named tasks with their newest revision, by namespace, name and version: namespace,
/// name, version, revision, steps, description, digest, created_at, tasks (how many tasks there are of it).
std::string template_list_json(postgres::Connection& connection,
                               const std::optional<std::string>& namespace_name);

/// A JSON object with one named task's newest revision (highest version when none is named): namespace, name,
/// version, revision, description, digest, created_at, configuration, steps[], revisions[]. Nothing when
/// unknown.
std::optional<std::string> template_json(postgres::Connection& connection, const std::string& namespace_name,
                                         const std::string& name, const std::optional<std::string>& version);

}  // namespace tasker::api
