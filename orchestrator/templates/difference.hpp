// What differs between two configurations of a template, as to_configuration() makes them.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace tasker::templates {

/// One key: its path ("priority", "handler_config.max_items"), and its value on the sides that have it.
struct KeyChange {
    std::string key;
    std::optional<nlohmann::json> before;
    std::optional<nlohmann::json> after;
};

/// A step that both have and whose keys differ.
struct StepChange {
    std::string name;
    std::vector<KeyChange> keys;
};

/// `reordered`: the steps stand in another order and nothing else about them says so.
struct Difference {
    std::vector<KeyChange> keys;
    std::vector<std::string> added;
    std::vector<std::string> removed;
    std::vector<StepChange> changed;
    bool reordered = false;

    bool empty() const {
        return keys.empty() && added.empty() && removed.empty() && changed.empty() && !reordered;
    }
};

/// Compares two configurations; steps are matched by name, maps key by key, lists as wholes. `before` may be null:
/// then every key and step is new.
Difference compare(const nlohmann::json& before, const nlohmann::json& after);

}  // namespace tasker::templates
