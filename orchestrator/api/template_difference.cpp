#include "orchestrator/api/template_difference.hpp"

#include "orchestrator/api/sql.hpp"

namespace tasker::api {

using templates::Difference;

std::optional<StoredTemplate> stored_template(postgres::Connection& connection,
                                              const std::string& namespace_name, const std::string& name,
                                              const std::optional<std::string>& version, std::int32_t back) {
    const auto rows = connection.query(sql::template_revision, namespace_name, name, version, back);
    if (rows.empty()) return std::nullopt;
    const auto row = rows.at(0);
    return StoredTemplate{row["version"].as<std::string>(), row["revision"].as<std::int32_t>(),
                          row["digest"].as<std::string>(),
                          nlohmann::json::parse(row["configuration"].as<std::string>())};
}

namespace {

// The digests decide, as they do when a template is registered. They see more than a comparison of values can, for
// example whether a number is written as 1 or as 1.0 after the database has read it.
Difference differing(const nlohmann::json& before, const std::string& old_digest, const nlohmann::json& after,
                     const std::string& new_digest) {
    if (old_digest == new_digest) return {};
    Difference found = templates::compare(before, after);
    if (found.empty()) found.keys.push_back({"digest", old_digest, new_digest});
    return found;
}

}  // namespace

Difference difference(const std::optional<StoredTemplate>& stored, const templates::Template& definition) {
    return differing(stored ? stored->configuration : nlohmann::json(), stored ? stored->digest : "",
                     templates::to_configuration(definition), templates::digest(definition));
}

Difference difference(const StoredTemplate& before, const StoredTemplate& after) {
    return differing(before.configuration, before.digest, after.configuration, after.digest);
}

}  // namespace tasker::api
