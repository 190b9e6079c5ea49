// The keys of template files: one table that the reader, the JSON Schema for editors, docs/templates.md and the
// suggestions for misspelt keys share.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "orchestrator/options/yaml/reader.hpp"

namespace tasker::templates {

/// The maps of a file that have keys of their own. An override stands in a list (then it has a `name`) or in a map.
enum class KeyMap { root, step, backoff, environment, listed_override, mapped_override };

/// `without_effect` is a key of older versions, which warns; `refused` is one that cannot stand in this map.
enum class KeyUse { required, optional, without_effect, refused };

/// One key. `value` is the JSON Schema of what it takes, with `description`, `examples`, and `default` unless it is
/// required or nothing stands for it. `advice` ends the problem of a key that has no effect or is refused.
struct Key {
    std::string name;
    KeyUse use = KeyUse::optional;
    nlohmann::ordered_json value;
    std::string advice;
};

/// All keys of such a map, in the order of the page.
const std::vector<Key>& keys_of(KeyMap map);

/// Reports what keys_of() does not allow: unknown keys with the likely one, refused ones, and those without effect.
void report_keys(const yaml::MapReader& map, KeyMap which, yaml::ProblemList& problems);

/// The JSON Schema (draft 7) of template files, made from keys_of(). It takes ${VAR} wherever the reader does.
nlohmann::ordered_json template_schema();

}  // namespace tasker::templates
