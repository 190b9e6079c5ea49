// Contexts against a fixed schema: the validator answers every JSON value, and answers the keywords that can
// be checked by hand in the same way.
#include "orchestrator/templates/context_validator.hpp"
#include "orchestrator/templates/decimal.hpp"
#include "tests/fuzz/text_property.hpp"

using namespace tasker;
using templates::ExactJson;

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

bool is_whole(const ExactJson& value) {
    return value.number() != nullptr && templates::Decimal(value.number()->text).is_whole();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const templates::ContextValidator validator(*templates::parse_exact_json(kSchema, 20));
    const auto text = fuzz::as_text(data, size);
    if (!fuzz::is_utf8(text)) return 0;  // refused before a context gets here (request_fields.hpp)
    constexpr int depth_max = 100;
    const auto parsed = templates::parse_exact_json(text, depth_max);
    if (!parsed) {
        fuzz::require(!parsed.error().message.empty(), "a refusal says why");
        return 0;
    }
    const ExactJson& context = *parsed;
    const auto problems = validator.validate(context);
    for (const auto& problem : problems) {
        fuzz::check_storable(problem.path);
        fuzz::require(!problem.message.empty(), "a problem says what is wrong", problem.path);
        fuzz::require(fuzz::is_utf8(problem.message), "a problem is UTF-8");
    }
    fuzz::require(validator.validate(context) == problems, "the same context gets the same answer");
    const auto written = templates::parse_exact_json(context.dump(), depth_max);
    fuzz::require(written && *written == context, "what is written means the same", context.dump());
    fuzz::require(written && written->dump() == context.dump(), "in the same words", context.dump());
    // 1.0 is 1: two contexts that count as the same task get the same verdict.
    const std::string normal = context.normal_form();
    const auto same = templates::parse_exact_json(normal, depth_max);
    fuzz::require(same && *same == context, "the normal form means the same", normal);
    fuzz::require(same->normal_form() == normal, "the normal form is stable", normal);
    fuzz::require(validator.validate(*same).empty() == problems.empty(), "and gets the same verdict", normal);
    if (!problems.empty()) return 0;
    const ExactJson* kind = context.find("kind");
    fuzz::require(context.find("id") != nullptr && is_whole(*context.find("id")),
                  "integer means a whole number");
    fuzz::require(kind == nullptr || kind->text() == nullptr || *kind->text() != "a" || context.find("name"),
                  "then is checked when if holds");
    return 0;
}
