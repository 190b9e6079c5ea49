// How a template file differs from what is registered, and how two registered templates differ.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "orchestrator/postgres/connection.hpp"
#include "orchestrator/templates/difference.hpp"
#include "orchestrator/templates/template.hpp"

namespace tasker::api {

/// A revision as it is stored.
struct StoredTemplate {
    std::string version;
    std::int32_t revision = 0;
    std::string digest;
    nlohmann::json configuration;
};

/// The newest revision of a named task (highest version when none is named), or the one that is `back` revisions
/// older. Nothing when there is none.
std::optional<StoredTemplate> stored_template(postgres::Connection& connection,
                                              const std::string& namespace_name, const std::string& name,
                                              const std::optional<std::string>& version,
                                              std::int32_t back = 0);

/// What registering `definition` would change of `stored`; empty exactly when nothing would be written for it.
templates::Difference difference(const std::optional<StoredTemplate>& stored,
                                 const templates::Template& definition);

/// The same for two stored revisions.
templates::Difference difference(const StoredTemplate& before, const StoredTemplate& after);

}  // namespace tasker::api
