#include <gtest/gtest.h>

#include "orchestrator/templates/text_format.hpp"
#include "tests/unit/templates/support.hpp"

namespace tasker::templates {
namespace {

// The schema stands in lines 6 and following, after step_templates on one line.
std::string with_schema(const std::string& schema) {
    return "name: sample\nnamespace_name: tests\nversion: 1.0.0\nstep_templates: [{ name: a, handler_class: "
           "H }]\n"
           "schema:\n" +
           schema;
}

TEST(SchemaCheck, AcceptsWhatDraftSevenOffers) {
    const Template definition = load_or_fail(with_schema(R"(
  $schema: http://json-schema.org/draft-07/schema#
  type: object
  required: [id, kind]
  properties:
    id: { type: [string, integer], minLength: 1 }
    kind: { enum: [a, b], default: a }
    flag: true
    list: { type: array, minItems: 1, uniqueItems: true, items: { $ref: "#/definitions/item" } }
    pair: { type: array, items: [ { type: string }, { type: number } ], additionalItems: false }
    tree: { $ref: "#/definitions/tree" }
    when: { type: string, format: date-time, pattern: "^[0-9]{4}-" }
  patternProperties: { "^x_": { type: string } }
  additionalProperties: false
  dependencies: { kind: [id] }
  allOf: [ { if: { required: [flag] }, then: { required: [list] } } ]
  definitions:
    item: { type: object, properties: { n: { exclusiveMinimum: 0, multipleOf: 0.5 } } }
    tree: { type: object, properties: { left: { $ref: "#/definitions/tree" } } }
  x-owner: somebody
)"));
    EXPECT_EQ(definition.schema["definitions"]["tree"]["properties"]["left"]["$ref"], "#/definitions/tree");
    EXPECT_TRUE(definition.warnings.empty()) << all_text(definition.warnings);
}

TEST(SchemaCheck, RefusesMisspeltKeywordsAndTypes) {
    expect_refused(with_schema("  type: object\n  requierd: [a]\n"), 7, "schema.requierd",
                   "Unknown keyword 'requierd'. Did you mean 'required'?");
    expect_refused(
        with_schema("  properties:\n    a: { type: strng }\n"), 7, "schema.properties.a.type",
        "'strng' is none of object, array, string, number, integer, boolean, null. Did you mean 'string'?");
    expect_refused(with_schema("  type: [object, 3]\n"), 6, "schema.type[1]", "'3' is none of");
    expect_refused(with_schema("  type: []\n"), 6, "schema.type", "must not be empty");
}

TEST(SchemaCheck, SaysWhatIsNotChecked) {
    const auto property = [](const std::string& text) {
        return with_schema("  properties: { a: { " + text + " } }\n");
    };
    const std::string at = "schema.properties.a.";
    expect_warning(property("format: iri"), 6, at + "format", "The format 'iri' is not checked.");
    expect_warning(property("format: emial"), 6, at + "format", "is not checked. Did you mean 'email'?");
    for (const std::string word :
         {"dependentRequired", "minContains", "prefixItems", "contentEncoding", "whatever"}) {
        expect_warning(property(word + ": 1"), 6, at + word, "The keyword '" + word + "' is not checked.");
    }
    expect_warning(property("$ref: \"#/properties\", maximum: 1"), 6, at + "maximum",
                   "Beside $ref this keyword is not checked. Put both into allOf.");
    expect_warning(property("then: { minimum: 1 }"), 6, at + "then",
                   "Without if this keyword is not checked.");
    expect_warning(property("if: { minimum: 1 }"), 6, at + "if", "has no effect");
    expect_warning(property("items: {}, additionalItems: false"), 6, at + "additionalItems",
                   "Without a list");
    expect_warning(property("$id: x"), 6, at + "$id", "does not change where they lead");
    expect_warning(with_schema("  $schema: https://json-schema.org/draft/2020-12/schema\n"), 6,
                   "schema.$schema", "as draft 7");
}

TEST(SchemaCheck, TakesEveryFormatThatIsChecked) {
    for (const std::string& name : checked_formats()) {
        const Template definition =
            load_or_fail(with_schema("  properties: { a: { format: " + name + " } }\n"));
        EXPECT_TRUE(definition.warnings.empty()) << all_text(definition.warnings);
    }
    EXPECT_EQ(checked_formats().size(), 9U);
}

TEST(SchemaCheck, KeepsTheDigitsOfLimits) {
    EXPECT_EQ(load_or_fail(
                  with_schema("  properties: { a: { maximum: 18446744073709551615, multipleOf: 0.01 } }\n"))
                  .schema["properties"]["a"]
                  .dump(),
              R"({"maximum":18446744073709551615,"multipleOf":0.01})");
    expect_refused(with_schema("  properties: { a: { maximum: 0.12345678901234567890 } }\n"), 6,
                   "schema.properties.a.maximum", "becomes 0.12345678901234568 as a double");
}

TEST(SchemaCheck, RefusesWrongTypesOfKeywordValues) {
    expect_refused(with_schema("  required: a\n"), 6, "schema.required", "Expected a list of property names");
    expect_refused(with_schema("  required: [a, a]\n"), 6, "schema.required[1]", "listed twice");
    expect_refused(with_schema("  properties: [a]\n"), 6, "schema.properties", "Expected a map of schemas");
    expect_refused(with_schema("  properties: { a: 5 }\n"), 6, "schema.properties.a", "Expected a schema");
    expect_refused(with_schema("  properties: { a: { minLength: -1 } }\n"), 6,
                   "schema.properties.a.minLength", "out of range");
    expect_refused(with_schema("  properties: { a: { minimum: low } }\n"), 6, "schema.properties.a.minimum",
                   "Expected a number");
    expect_refused(with_schema("  properties: { a: { multipleOf: 0 } }\n"), 6,
                   "schema.properties.a.multipleOf", "out of range");
    expect_refused(with_schema("  properties: { a: { uniqueItems: 1 } }\n"), 6,
                   "schema.properties.a.uniqueItems", "Expected true or false");
    expect_refused(with_schema("  anyOf: []\n"), 6, "schema.anyOf", "Expected a list of at least one schema");
    expect_refused(with_schema("  properties: { a: { enum: x } }\n"), 6, "schema.properties.a.enum",
                   "Expected a list");
    expect_refused("schema: true\n" + with_step(""), 1, "schema", "Expected a JSON Schema (a map)");
}

TEST(SchemaCheck, RefusesBrokenPatterns) {
    expect_refused(with_schema("  properties: { a: { pattern: \"[a-\" } }\n"), 6,
                   "schema.properties.a.pattern", "'[a-' is no regular expression");
    expect_refused(with_schema("  patternProperties: { \"(\": {} }\n"), 6, "schema.patternProperties.(",
                   "no regular expression");
}

TEST(SchemaCheck, RefusesPatternsThatOnlyBacktrackingCouldMatch) {
    for (const char* pattern : {"^(?=a)a", "(?!b)", "(a)\\\\1", "a{1001}", "((a{0,99}){0,99}){0,99}"}) {
        expect_refused(with_schema(std::string("  properties: { a: { pattern: \"") + pattern + "\" } }\n"), 6,
                       "schema.properties.a.pattern", "without look-around and back-references");
    }
}

TEST(SchemaCheck, RefusesReferencesThatLeadNowhere) {
    expect_refused(with_schema("  properties: { a: { $ref: \"#/definitions/b\" } }\n"), 6,
                   "schema.properties.a.$ref", "'#/definitions/b' leads nowhere");
    expect_refused(with_schema("  properties: { a: { $ref: \"http://example.com/x.json\" } }\n"), 6,
                   "schema.properties.a.$ref", "refers to another document");
}

TEST(SchemaCheck, RefusesCirclesThatWouldNeverEnd) {
    for (const std::string schema : {"  allOf: [ { $ref: \"#\" } ]\n", "  not: { $ref: \"#\" }\n",
                                     "  definitions: { a: { $ref: \"#/definitions/b\" }, b: { $ref: "
                                     "\"#/definitions/a\" } }\n"}) {
        const auto loaded = load(with_schema(schema));
        ASSERT_FALSE(loaded.has_value()) << schema;
        EXPECT_EQ(loaded.error().at(0).line, 6);
        EXPECT_THAT(loaded.error().at(0).message, ::testing::HasSubstr("in a circle"));
    }
}

TEST(SchemaCheck, RefusesEndlessChainsOfReferences) {
    std::string schema = "  definitions:\n";
    for (int index = 0; index < 5000; ++index) {
        schema += "    d" + std::to_string(index) + ": { $ref: \"#/definitions/d" +
                  std::to_string(index + 1) + "\" }\n";
    }
    const auto loaded = load(with_schema(schema + "    d5000: { type: string }\n"));
    ASSERT_FALSE(loaded.has_value());
    EXPECT_THAT(loaded.error().at(0).message, ::testing::HasSubstr("more than 100 hops"));
}

}  // namespace
}  // namespace tasker::templates
