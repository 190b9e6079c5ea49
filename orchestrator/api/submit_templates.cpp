#include "orchestrator/api/submit_templates.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "orchestrator/api/sql.hpp"
#include "orchestrator/postgres/array_text.hpp"

namespace tasker::api {
namespace {

using nlohmann::json;

/// Full name and version of every named task there is.
using KnownTemplates = std::vector<std::pair<std::string, std::string>>;

KnownTemplates load_known_templates(postgres::Connection& connection) {
    KnownTemplates known;
    for (const auto& row : connection.execute(sql::known_templates)) {
        known.emplace_back(row[0].as<std::string>(), row[1].as<std::string>());
    }
    return known;
}

RequestProblem unknown_template_problem(const TaskRequest& request, const KnownTemplates& known) {
    const std::string wanted = request.namespace_name + "/" + request.name;
    std::vector<std::string> names;
    std::string versions;
    for (const auto& [full_name, version] : known) {
        if (names.empty() || names.back() != full_name) names.push_back(full_name);
        if (full_name == wanted) versions += (versions.empty() ? "" : ", ") + version;
    }
    if (!versions.empty()) {
        return {"unknown_version",
                fmt::format("{} has no version {}; there is {}", wanted, yaml::in_quotes(*request.version),
                            versions),
                "version"};
    }
    std::string advice = yaml::did_you_mean(wanted, names);
    if (advice.empty()) {
        advice = names.empty() ? " No template is loaded yet: `tasker template load FILE|DIR`"
                               : " See `tasker template list`";
    }
    return {"unknown_template", fmt::format("no template {} is loaded.{}", yaml::in_quotes(wanted), advice),
            "name"};
}

/// The templates that requests name, each once, with the places of the requests that name it.
class WantedTemplates {
  public:
    WantedTemplates(std::span<const TaskRequest> requests, const std::vector<RequestOutcome>& outcomes) {
        for (std::size_t i = 0; i < requests.size(); ++i) {
            if (!outcomes[i]) continue;
            wanted_[{requests[i].namespace_name, requests[i].name, requests[i].version}].push_back(i);
        }
        for (const auto& [name, places] : wanted_) {
            const auto& [space, task, version] = name;
            names_.push_back({{"ord", places_.size()}, {"namespace", space}, {"name", task}});
            if (version) names_.back()["version"] = *version;
            places_.push_back(&places);
        }
    }
    WantedTemplates(const WantedTemplates&) = delete;
    WantedTemplates& operator=(const WantedTemplates&) = delete;

    std::size_t size() const { return places_.size(); }
    /// As sql::resolve_templates takes them.
    std::string names_json() const { return names_.dump(); }
    const std::vector<std::size_t>& requests_of(std::size_t ord) const { return *places_.at(ord); }

  private:
    using Name = std::tuple<std::string, std::string, std::optional<std::string>>;
    std::map<Name, std::vector<std::size_t>> wanted_;
    std::vector<const std::vector<std::size_t>*> places_;
    json names_ = json::array();
};

/// The schema of a stored configuration with all digits of its numbers, whoever stored it; null when there is none.
templates::ExactJson exact_schema(const std::string& configuration) {
    constexpr int depth_max = 200;
    auto whole = templates::parse_exact_json(configuration, depth_max);
    if (!whole) {
        throw std::runtime_error(fmt::format("a stored configuration cannot be used: {} {}",
                                             whole.error().path, whole.error().message));
    }
    const templates::ExactJson* schema = whole->find("schema");
    return schema == nullptr ? templates::ExactJson() : *schema;
}

}  // namespace

void TemplateRevisions::load(postgres::Connection& connection,
                             const std::vector<std::int64_t>& task_template_ids) {
    postgres::ArrayText missing;
    bool any = false;
    for (const auto id : task_template_ids) {
        if (revisions_.contains(id)) continue;
        missing.add(id);
        any = true;
    }
    if (!any) return;
    for (const auto& row : connection.query(sql::load_revisions, missing.take())) {
        const auto id = row[0].as<std::int64_t>();
        const auto text = row[1].as<std::string>();
        auto definition = templates::from_configuration(json::parse(text));
        if (!definition) {
            throw std::runtime_error(
                fmt::format("the stored configuration of template revision {} cannot be used: {}", id,
                            definition.error()));
        }
        templates::ContextValidator validator(exact_schema(text), definition->full_name());
        revisions_[id] = std::make_unique<TemplateRevision>(
            TemplateRevision{std::move(*definition), std::move(validator)});
    }
}

std::vector<std::int64_t> TemplateRevisions::resolve(postgres::Connection& connection,
                                                     std::span<const TaskRequest> requests,
                                                     std::vector<RequestOutcome>& outcomes) {
    std::vector<std::int64_t> ids(requests.size(), 0);
    const WantedTemplates wanted(requests, outcomes);
    if (wanted.size() == 0) return ids;
    std::vector<std::int64_t> found;
    for (const auto& row : connection.query(sql::resolve_templates, wanted.names_json())) {
        found.push_back(row[1].as<std::int64_t>());
        for (const auto i : wanted.requests_of(row[0].as<std::size_t>())) ids[i] = found.back();
    }
    load(connection, found);
    if (found.size() == wanted.size()) return ids;

    const KnownTemplates known = load_known_templates(connection);
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (outcomes[i] && ids[i] == 0) {
            outcomes[i] = tl::unexpected(unknown_template_problem(requests[i], known));
        }
    }
    return ids;
}

}  // namespace tasker::api
