#include "orchestrator/templates/load.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "orchestrator/core/step_order.hpp"
#include "orchestrator/options/yaml/reader.hpp"
#include "orchestrator/templates/context_validator.hpp"
#include "orchestrator/templates/convert.hpp"
#include "orchestrator/templates/keys.hpp"
#include "orchestrator/templates/results_from.hpp"
#include "orchestrator/templates/schema_check.hpp"
#include "orchestrator/templates/step_reader.hpp"

namespace tasker::templates {

namespace {

using yaml::in_quotes;
using yaml::Located;
using yaml::MapReader;
using yaml::ProblemList;
using yaml::YamlNode;

constexpr std::string_view kEnvironments = "environments";

class TemplateLoader {
  public:
    TemplateLoader(std::string_view environment, const EnvLookup& lookup, ProblemList& problems)
        : environment_(environment), lookup_(lookup), problems_(problems) {}

    Template run(YamlNode& root) {
        if (is_newer_form(root)) {
            const YamlNode& steps = *root.find("steps");
            problems_.error(steps.line, steps.column, "steps", newer_form_message(problems_.file()));
            return std::move(result_);
        }
        interpolate(root);
        MapReader map({root, ""}, problems_);
        if (map.valid()) {
            read_identity(map);
            read_settings(map);
            read_schema(map);
            read_steps(map);
            apply_environments(map);
            report_keys(map, KeyMap::root, problems_);
            for (const StepSource& source : sources_) check_step(source, problems_);
            order();
        }
        return std::move(result_);
    }

  private:
    void interpolate(YamlNode& root) {
        for (yaml::Entry& entry : root.entries) {
            if (entry.key != kEnvironments) {
                yaml::interpolate(entry.value, lookup_, yaml::MissingVariable::refuse, entry.key, problems_);
                continue;
            }
            for (yaml::Entry& inner : entry.value.entries) {
                const auto missing = inner.key == environment_ ? yaml::MissingVariable::refuse
                                                               : yaml::MissingVariable::tolerate;
                yaml::interpolate(inner.value, lookup_, missing, yaml::child_path(entry.key, inner.key),
                                  problems_);
            }
        }
    }

    void read_identity(MapReader& map) {
        if (const YamlNode* node = map.require("namespace_name")) {
            result_.namespace_name = read_name(map.at("namespace_name", *node), problems_).value_or("");
        }
        if (const YamlNode* node = map.require("name")) read_template_name(map.at("name", *node));
        if (const YamlNode* node = map.require("version")) {
            const Located value = map.at("version", *node);
            const auto text = yaml::read_spelling(value, kVersionBytesMax, problems_);
            const bool usable =
                text && !text->empty() && std::all_of(text->begin(), text->end(), [](unsigned char c) {
                    return (c < 0x80 && std::isalnum(c) != 0) || c == '.' || c == '_' || c == '-' || c == '+';
                });
            if (usable) {
                result_.version = *text;
            } else if (text) {
                problems_.error(node->line, node->column, value.path,
                                fmt::format("{} is no version: allowed are letters, digits, . _ - and +.",
                                            in_quotes(*text)));
            }
        }
    }

    // The older form namespace/name is fine as long as it says the same as namespace_name.
    void read_template_name(const Located& value) {
        const YamlNode& node = value.node;
        result_.name_line = node.line;
        const std::size_t slash =
            node.kind == YamlNode::Kind::scalar ? node.text.find('/') : std::string::npos;
        if (slash == std::string::npos) {
            result_.name = read_name(value, problems_).value_or("");
            return;
        }
        const std::string prefix = node.text.substr(0, slash);
        if (prefix != result_.namespace_name) {
            problems_.error(
                node.line, node.column, value.path,
                fmt::format("{} names the namespace {}, but namespace_name is {}. Write the bare name.",
                            in_quotes(node.text), in_quotes(prefix), in_quotes(result_.namespace_name)));
            return;
        }
        YamlNode bare = node;
        bare.text = node.text.substr(slash + 1);
        bare.quoted = true;
        result_.name = read_name({bare, value.path}, problems_).value_or("");
    }

    void read_settings(MapReader& map) {
        if (const YamlNode* node = map.get("description")) {
            result_.description =
                yaml::read_text(map.at("description", *node), 0, kDescriptionBytesMax, problems_)
                    .value_or("");
        }
        if (const YamlNode* node = map.get("task_handler_class")) {
            result_.task_handler_class =
                yaml::read_text(map.at("task_handler_class", *node), 1, kHandlerClassBytesMax, problems_)
                    .value_or("");
        }
        if (const YamlNode* node = map.get("default_dependent_system")) {
            if (auto name = read_name(map.at("default_dependent_system", *node), problems_)) {
                result_.default_dependent_system = *name;
            }
        }
        if (const YamlNode* node = map.get("identity")) {
            std::vector<std::string> names;
            for (const Identity one :
                 {Identity::always_unique, Identity::strict, Identity::caller_provided}) {
                names.emplace_back(to_string(one));
            }
            const auto choice = yaml::read_choice(map.at("identity", *node), names, problems_);
            if (choice) result_.identity = static_cast<Identity>(*choice);
        }
        if (const YamlNode* node = map.get("priority")) {
            const auto number = yaml::read_integer(map.at("priority", *node), {kPriorityMin, kPriorityMax},
                                                   yaml::NumericText::accept, "", problems_);
            if (number) result_.priority = static_cast<std::int32_t>(*number);
        }
    }

    void read_schema(MapReader& map) {
        const YamlNode* node = map.get("schema");
        if (node == nullptr) return;
        const Located value = map.at("schema", *node);
        const std::size_t before = problems_.size();
        check_schema(value, problems_);
        nlohmann::json schema = yaml::to_json(value, problems_);
        const std::size_t bytes = schema.dump().size();
        if (bytes > kSchemaBytesMax) {
            problems_.error(
                node->line, node->column, value.path,
                fmt::format("The schema has {} bytes as JSON, the limit is {}.", bytes, kSchemaBytesMax));
        }
        // What our own check let pass the library may still refuse; it alone decides what it can use.
        if (problems_.size() == before || !problems_.has_errors()) {
            try {
                const ContextValidator validator(to_exact_json(schema));
            } catch (const std::invalid_argument& fault) {
                problems_.error(node->line, node->column, value.path, fault.what());
            }
        }
        result_.schema = std::move(schema);
    }

    void read_steps(MapReader& map) {
        const YamlNode* list = map.require("step_templates");
        if (list == nullptr) return;
        const Located value = map.at("step_templates", *list);
        if (list->kind != YamlNode::Kind::sequence) {
            problems_.error(list->line, list->column, value.path,
                            fmt::format("Expected a list of steps, found {}.", yaml::describe(*list)));
            return;
        }
        const std::size_t count = list->items.size();
        if (count < 1 || count > kStepsMax) {
            problems_.error(list->line, list->column, value.path,
                            fmt::format("{} steps are out of range: allowed is 1 to {}.", count, kStepsMax));
            return;
        }
        sources_.reserve(count);
        for (std::size_t index = 0; index < count; ++index) {
            StepSource source =
                read_step({list->items[index], yaml::item_path(value.path, index)}, problems_);
            if (source.step.dependent_system.empty()) {
                source.step.dependent_system = result_.default_dependent_system;
            }
            const std::string& name = source.step.name;
            if (!name.empty()) {
                const auto [known, is_new] = by_name_.try_emplace(name, index);
                if (!is_new) {
                    problems_.error(source.name_place.line, source.name_place.column, source.name_place.path,
                                    fmt::format("The step {} is defined twice, first in line {}.",
                                                in_quotes(name), sources_[known->second].name_place.line));
                }
                names_.push_back(name);
            }
            sources_.push_back(std::move(source));
        }
    }

    void apply_environments(MapReader& map) {
        const YamlNode* node = map.get(kEnvironments);
        if (node == nullptr) return;
        const Located value = map.at(kEnvironments, *node);
        MapReader environments(value, problems_);
        if (!environments.valid()) return;
        for (const yaml::Entry& entry : node->entries) {
            if (entry.value.kind == YamlNode::Kind::null) continue;  // an environment without overrides
            MapReader one({entry.value, yaml::child_path(value.path, entry.key)}, problems_);
            const bool selected = entry.key == environment_;
            std::map<std::string, int> overridden;
            apply_list_form(one, selected, overridden);
            apply_map_form(one, selected, overridden);
            report_keys(one, KeyMap::environment, problems_);
        }
    }

    void apply_list_form(MapReader& map, bool selected, std::map<std::string, int>& overridden) {
        const YamlNode* list = map.get("step_templates");
        if (list == nullptr) return;
        const Located value = map.at("step_templates", *list);
        if (list->kind != YamlNode::Kind::sequence) {
            problems_.error(list->line, list->column, value.path,
                            fmt::format("Expected a list of overrides, found {}.", yaml::describe(*list)));
            return;
        }
        for (std::size_t index = 0; index < list->items.size(); ++index) {
            const YamlNode& item = list->items[index];
            const std::string path = yaml::item_path(value.path, index);
            MapReader reader({item, path}, problems_);
            const YamlNode* name = reader.require("name");
            if (name == nullptr) continue;
            const auto text = yaml::read_spelling(reader.at("name", *name), kNameBytesMax, problems_);
            if (!text) continue;
            const Place place{name->line, name->column, yaml::child_path(path, "name")};
            apply(*text, place, {item, path}, OverrideForm::list, selected, overridden);
        }
    }

    void apply_map_form(MapReader& map, bool selected, std::map<std::string, int>& overridden) {
        const YamlNode* steps = map.get("step_overrides");
        if (steps == nullptr) return;
        const Located value = map.at("step_overrides", *steps);
        if (!MapReader(value, problems_).valid()) return;
        for (const yaml::Entry& entry : steps->entries) {
            const std::string path = yaml::child_path(value.path, entry.key);
            apply(entry.key, {entry.line, entry.column, path}, {entry.value, path}, OverrideForm::map,
                  selected, overridden);
        }
    }

    void apply(const std::string& name, const Place& place, const Located& value, OverrideForm form,
               bool selected, std::map<std::string, int>& overridden) {
        const auto [known, is_new] = overridden.try_emplace(name, place.line);
        if (!is_new) {
            problems_.error(
                place.line, place.column, place.path,
                fmt::format("The step {} is overridden twice in this environment, first in line {}.",
                            in_quotes(name), known->second));
            return;
        }
        const auto step = by_name_.find(name);
        if (step == by_name_.end()) {
            problems_.error(place.line, place.column, place.path,
                            fmt::format("There is no step {} to override.{}", in_quotes(name),
                                        yaml::did_you_mean(name, names_)));
            return;
        }
        if (selected) {
            apply_override(value, form, sources_[step->second], problems_);
        } else {
            StepSource scratch = sources_[step->second];
            apply_override(value, form, scratch, problems_);
        }
    }

    void order() {
        core::Parents parents(sources_.size());
        std::size_t edges = 0;
        for (std::size_t index = 0; index < sources_.size(); ++index) {
            for (const Dependency& dependency : sources_[index].dependencies) {
                const auto found = by_name_.find(dependency.name);
                if (found != by_name_.end()) {
                    parents[index].push_back(found->second);
                    sources_[index].step.depends_on.push_back(dependency.name);
                    continue;
                }
                const std::string hint =
                    problems_.size() < 100 ? yaml::did_you_mean(dependency.name, names_) : "";
                problems_.error(
                    dependency.place.line, dependency.place.column, dependency.place.path,
                    fmt::format("There is no step {} to depend on.{}", in_quotes(dependency.name), hint));
            }
            edges += parents[index].size();
        }
        if (edges > kEdgesMax) {
            problems_.error(
                1, 1, "step_templates",
                fmt::format("{} dependencies are out of range: allowed are {}.", edges, kEdgesMax));
            return;
        }
        const core::StepOrder ordered = core::order_steps(parents);
        for (const std::vector<std::size_t>& cycle : ordered.cycles) report_cycle(cycle);
        if (ordered.cycles.empty())
            take_results_from(sources_, {parents, ordered.order, by_name_, names_}, problems_);
        result_.steps.reserve(ordered.order.size());
        for (const std::size_t index : ordered.order)
            result_.steps.push_back(std::move(sources_[index].step));
    }

    // Written along "depends on", at the dependency that closes the circle from the first step.
    void report_cycle(const std::vector<std::size_t>& cycle) {
        constexpr std::size_t shown_max = 20;
        std::string way;
        for (std::size_t at = 0; at < cycle.size() && at < shown_max; ++at) {
            way += sources_[cycle[at]].step.name + " → ";
        }
        if (cycle.size() > shown_max) way += fmt::format("({} more) → ", cycle.size() - shown_max);
        const StepSource& first = sources_[cycle.front()];
        way += first.step.name;
        const std::string& next = sources_[cycle[1 % cycle.size()]].step.name;
        Place place = first.place;
        for (const Dependency& dependency : first.dependencies) {
            if (dependency.name == next) place = dependency.place;
        }
        problems_.error(
            place.line, place.column, place.path,
            fmt::format("The steps depend on each other in a circle: {} (each on the next).", way));
    }

    std::string_view environment_;
    const EnvLookup& lookup_;
    ProblemList& problems_;
    Template result_;
    std::vector<StepSource> sources_;
    std::unordered_map<std::string, std::size_t> by_name_;
    std::vector<std::string> names_;
};

tl::expected<Template, std::vector<Problem>> load_tree(std::optional<YamlNode> root,
                                                       std::string_view environment, const EnvLookup& lookup,
                                                       ProblemList& problems) {
    if (!root) return tl::unexpected(problems.take_sorted());
    Template result = TemplateLoader(environment, lookup, problems).run(*root);
    if (problems.has_errors()) return tl::unexpected(problems.take_sorted());
    result.source_file = problems.file();
    result.warnings = problems.take_sorted();
    return result;
}

}  // namespace

tl::expected<Template, std::vector<Problem>> load_template_file(const std::filesystem::path& path,
                                                                std::string_view environment,
                                                                const EnvLookup& env_lookup) {
    ProblemList problems(path.string());
    return load_tree(yaml::parse_file(problems), environment, env_lookup, problems);
}

tl::expected<Template, std::vector<Problem>> load_template_text(std::string_view text,
                                                                const std::string& source,
                                                                std::string_view environment,
                                                                const EnvLookup& env_lookup) {
    ProblemList problems(source);
    return load_tree(yaml::parse(text, problems), environment, env_lookup, problems);
}

}  // namespace tasker::templates
