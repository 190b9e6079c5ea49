#include <array>
#include <string_view>
#include <utility>

#include "orchestrator/templates/keys.hpp"

namespace tasker::templates {

namespace {

using Json = nlohmann::ordered_json;

Json schema_of(KeyMap map) {
    Json required = Json::array();
    Json properties = Json::object();
    for (const Key& key : keys_of(map)) {
        if (key.use == KeyUse::refused) continue;
        if (key.use == KeyUse::required) required.push_back(key.name);
        properties[key.name] = key.value;
    }
    Json schema{{"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
    if (!required.empty()) schema["required"] = std::move(required);
    return schema;
}

}  // namespace

nlohmann::ordered_json template_schema() {
    Json schema{{"$schema", "http://json-schema.org/draft-07/schema#"},
                {"title", "Tasker template"},
                {"description", "A workflow: its steps, their handlers, and how they depend on each other."}};
    schema.update(schema_of(KeyMap::root));
    constexpr std::array parts{std::pair("step", KeyMap::step), std::pair("backoff", KeyMap::backoff),
                               std::pair("environment", KeyMap::environment),
                               std::pair("listed_override", KeyMap::listed_override),
                               std::pair("mapped_override", KeyMap::mapped_override)};
    for (const auto& [name, map] : parts) schema["definitions"][name] = schema_of(map);
    // An environment, or an override of a step, may be there without saying anything.
    schema["definitions"]["environment"]["type"] = {"object", "null"};
    return schema;
}

}  // namespace tasker::templates
