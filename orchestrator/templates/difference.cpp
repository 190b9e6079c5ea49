#include "orchestrator/templates/difference.hpp"

#include <map>
#include <set>

#include "orchestrator/options/yaml/problem.hpp"

namespace tasker::templates {

namespace {

using nlohmann::json;

constexpr const char* kSteps = "step_templates";

std::optional<json> value_of(const json& map, const std::string& key) {
    const auto found = map.find(key);
    if (found == map.end()) return std::nullopt;
    return *found;
}

// Numbers of different types can be equal and still make another digest: 1 and 1.0.
bool same(const json& left, const json& right) {
    return left == right && left.dump() == right.dump();
}

void compare_maps(const json& before, const json& after, const std::string& path,
                  std::vector<KeyChange>& changes) {
    std::set<std::string> keys;
    for (const json* side : {&before, &after}) {
        for (const auto& [key, value] : side->items()) keys.insert(key);
    }
    for (const std::string& key : keys) {
        if (path.empty() && key == kSteps) continue;
        const std::string inner = yaml::child_path(path, key);
        std::optional<json> left = value_of(before, key);
        std::optional<json> right = value_of(after, key);
        if (left && right && left->is_object() && right->is_object()) {
            compare_maps(*left, *right, inner, changes);
        } else if (!left || !right || !same(*left, *right)) {
            changes.push_back({inner, std::move(left), std::move(right)});
        }
    }
}

std::vector<std::string> names_of(const json& configuration, std::map<std::string, json>& by_name) {
    std::vector<std::string> names;
    if (!configuration.contains(kSteps)) return names;
    for (const json& step : configuration[kSteps]) {
        names.push_back(step.at("name").get<std::string>());
        by_name[names.back()] = step;
    }
    return names;
}

std::vector<std::string> only_common(const std::vector<std::string>& names,
                                     const std::map<std::string, json>& others) {
    std::vector<std::string> common;
    for (const std::string& name : names) {
        if (others.contains(name)) common.push_back(name);
    }
    return common;
}

}  // namespace

Difference compare(const json& before, const json& after) {
    Difference found;
    compare_maps(before.is_null() ? json::object() : before, after, "", found.keys);
    std::map<std::string, json> old_steps;
    std::map<std::string, json> new_steps;
    const std::vector<std::string> old_names = names_of(before, old_steps);
    const std::vector<std::string> new_names = names_of(after, new_steps);
    for (const std::string& name : old_names) {
        if (!new_steps.contains(name)) found.removed.push_back(name);
    }
    for (const std::string& name : new_names) {
        const auto known = old_steps.find(name);
        if (known == old_steps.end()) {
            found.added.push_back(name);
            continue;
        }
        StepChange change{name, {}};
        compare_maps(known->second, new_steps[name], "", change.keys);
        if (!change.keys.empty()) found.changed.push_back(std::move(change));
    }
    found.reordered = only_common(old_names, new_steps) != only_common(new_names, old_steps);
    return found;
}

}  // namespace tasker::templates
