// Internal to the context validator: from the library's findings to sentences people can act on.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace tasker::templates {

/// Where a finding points: its path ("$.items[0]"), the value there, and the part of the schema that
/// describes it (null when that cannot be told, for example below anyOf).
struct Located {
    std::string path;
    const nlohmann::json* value = nullptr;
    const nlohmann::json* schema = nullptr;
};

/// Follows the library's path ("<root>", "[items]", "[0]", …) through value and schema at once.
Located locate(const nlohmann::json& schema, const nlohmann::json& value,
               const std::vector<std::string>& way);

/// The finding as a phrase that continues the path: "must have at least 1 item".
std::string readable(const std::string& description, const Located& located);

/// True for findings that only say that something further inside is wrong.
bool is_summary(std::string_view description);

/// "an object", "a text", "null", …
std::string json_type_text(const nlohmann::json& value);

}  // namespace tasker::templates
