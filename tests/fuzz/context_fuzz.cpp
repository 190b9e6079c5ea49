// Contexts against a fixed schema: the validator answers every JSON value, and answers the keywords that can
// be checked by hand in the same way.
#include <cmath>

#include "orchestrator/templates/context_validator.hpp"
#include "orchestrator/templates/identity.hpp"
#include "tests/fuzz/text_property.hpp"

using namespace tasker;
using nlohmann::json;

namespace {

constexpr const char* kSchema = R"({
  "type": "object",
  "required": ["id"],
  "properties": {
    "id": {"type": "integer", "minimum": 1},
    "name": {"type": "string", "maxLength": 4, "pattern": "^([a-z]+)*$"},
    "when": {"format": "date-time"}, "day": {"format": "date"}, "at": {"format": "time"}, "link": {"format": "uri"},
    "items": {"type": "array", "uniqueItems": true, "items": {"$ref": "#/definitions/item"}},
    "kind": {"enum": ["a", 1, null, [1.0]]},
    "one": {"oneOf": [{"type": "number", "multipleOf": 0.5}, {"type": "boolean"}]}
  },
  "patternProperties": {"^x_": {"type": ["integer", "null"]}, "(a+)+$": {"not": {"const": 7}}},
  "definitions": {"item": {"type": "object", "propertyNames": {"maxLength": 8},
                           "properties": {"items": {"$ref": "#/properties/items"}},
                           "dependencies": {"a": ["b"]}}},
  "if": {"properties": {"kind": {"const": "a"}}, "required": ["kind"]}, "then": {"required": ["name"]}
})";

bool is_whole(const json& value) {
    return value.is_number_integer() ||
           (value.is_number_float() && std::trunc(value.get<double>()) == value.get<double>());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const templates::ContextValidator validator(json::parse(kSchema));
    const json context = json::parse(data, data + size, nullptr, false);
    // Requests with U+0000 are refused before their context gets here (request_fields.hpp).
    if (context.is_discarded() || protocol::unstorable_reason(fuzz::as_text(data, size))) return 0;
    const auto problems = validator.validate(context);
    for (const auto& problem : problems) {
        fuzz::check_storable(problem.path);
        fuzz::require(!problem.message.empty(), "a problem says what is wrong", problem.path);
        fuzz::require(fuzz::is_utf8(problem.message), "a problem is UTF-8");
    }
    fuzz::require(validator.validate(context) == problems, "the same context gets the same answer");
    const bool shallow = !protocol::check_json(fuzz::as_text(data, size), templates::kContextDepthMax);
    if (!shallow || !context.is_object()) {
        fuzz::require(!problems.empty() || context.is_object(), "a context is an object");
        return 0;
    }
    // 1.0 is 1: two contexts that count as the same task get the same verdict.
    const std::string normal = templates::normalised_json(context);
    const json same = json::parse(normal);
    fuzz::require(templates::normalised_json(same) == normal, "the normal form is stable", normal);
    fuzz::require(validator.validate(same).empty() == problems.empty(), "and gets the same verdict", normal);
    if (!problems.empty()) return 0;
    fuzz::require(context.contains("id") && is_whole(context["id"]), "integer means a whole number");
    fuzz::require(!context.contains("kind") || context["kind"] != "a" || context.contains("name"),
                  "then is checked when if holds");
    return 0;
}
