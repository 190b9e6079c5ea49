// Internal to the schema check: the keywords of JSON Schema draft 7 and what their values must be.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tasker::templates {

enum class Keyword {
    anything,
    text,
    truth,
    number,
    positive_number,
    count,
    format,
    pattern,
    reference,
    type,
    names,
    list,
    schema,
    schema_or_list,
    schema_list,
    schema_map,
    pattern_map,
    dependencies,
};

struct KnownKeyword {
    std::string_view name;
    Keyword kind;
};

inline constexpr std::array kKeywords{
    KnownKeyword{"$id", Keyword::text},
    KnownKeyword{"$schema", Keyword::text},
    KnownKeyword{"$comment", Keyword::text},
    KnownKeyword{"$ref", Keyword::reference},
    KnownKeyword{"title", Keyword::text},
    KnownKeyword{"description", Keyword::text},
    KnownKeyword{"default", Keyword::anything},
    KnownKeyword{"examples", Keyword::list},
    KnownKeyword{"readOnly", Keyword::truth},
    KnownKeyword{"writeOnly", Keyword::truth},
    KnownKeyword{"type", Keyword::type},
    KnownKeyword{"enum", Keyword::list},
    KnownKeyword{"const", Keyword::anything},
    KnownKeyword{"multipleOf", Keyword::positive_number},
    KnownKeyword{"maximum", Keyword::number},
    KnownKeyword{"exclusiveMaximum", Keyword::number},
    KnownKeyword{"minimum", Keyword::number},
    KnownKeyword{"exclusiveMinimum", Keyword::number},
    KnownKeyword{"maxLength", Keyword::count},
    KnownKeyword{"minLength", Keyword::count},
    KnownKeyword{"pattern", Keyword::pattern},
    KnownKeyword{"format", Keyword::format},
    KnownKeyword{"items", Keyword::schema_or_list},
    KnownKeyword{"additionalItems", Keyword::schema},
    KnownKeyword{"maxItems", Keyword::count},
    KnownKeyword{"minItems", Keyword::count},
    KnownKeyword{"uniqueItems", Keyword::truth},
    KnownKeyword{"contains", Keyword::schema},
    KnownKeyword{"maxProperties", Keyword::count},
    KnownKeyword{"minProperties", Keyword::count},
    KnownKeyword{"required", Keyword::names},
    KnownKeyword{"properties", Keyword::schema_map},
    KnownKeyword{"patternProperties", Keyword::pattern_map},
    KnownKeyword{"additionalProperties", Keyword::schema},
    KnownKeyword{"propertyNames", Keyword::schema},
    KnownKeyword{"dependencies", Keyword::dependencies},
    KnownKeyword{"if", Keyword::schema},
    KnownKeyword{"then", Keyword::schema},
    KnownKeyword{"else", Keyword::schema},
    KnownKeyword{"allOf", Keyword::schema_list},
    KnownKeyword{"anyOf", Keyword::schema_list},
    KnownKeyword{"oneOf", Keyword::schema_list},
    KnownKeyword{"not", Keyword::schema},
    KnownKeyword{"definitions", Keyword::schema_map},
    KnownKeyword{"$defs", Keyword::schema_map},
};

/// Keywords of other drafts, and those that only describe: legal, and nothing checks them.
inline constexpr std::array<std::string_view, 17> kUncheckedKeywords{
    "$anchor",           "$dynamicAnchor",        "$dynamicRef",
    "$recursiveAnchor",  "$recursiveRef",         "$vocabulary",
    "contentEncoding",   "contentMediaType",      "contentSchema",
    "dependentRequired", "dependentSchemas",      "deprecated",
    "maxContains",       "minContains",           "prefixItems",
    "unevaluatedItems",  "unevaluatedProperties",
};

/// Hops over keywords that apply another schema to the same value, such as $ref: a longer chain is refused.
constexpr int kAppliedHopsMax = 100;

/// The keyword of this name, or null.
const KnownKeyword* find_keyword(std::string_view name);

/// The steps of a local reference: "#/$defs/a~1b" are "$defs" and "a/b". Nothing for what is no JSON pointer.
std::optional<std::vector<std::string>> reference_steps(std::string_view reference);

}  // namespace tasker::templates
