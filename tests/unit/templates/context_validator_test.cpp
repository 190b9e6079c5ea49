#include "orchestrator/templates/context_validator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace tasker::templates {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

std::vector<std::string> problems(const std::string& schema, const json& context) {
    std::vector<std::string> texts;
    for (const ContextProblem& problem : ContextValidator(json::parse(schema)).validate(context)) {
        texts.push_back(to_string(problem));
    }
    return texts;
}

constexpr const char* kOrder = R"({
  "type": "object",
  "required": ["order_id", "items"],
  "properties": {
    "order_id": {"type": "string", "minLength": 3, "pattern": "^ORD-"},
    "items": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"$ref": "#/definitions/item"}},
    "country": {"enum": ["DE", "FR"]},
    "total": {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 99.5}
  },
  "additionalProperties": false,
  "definitions": {"item": {"type": "object", "required": ["sku"],
                           "properties": {"sku": {"type": "string"}, "quantity": {"type": "integer", "minimum": 1}}}}
})";

TEST(ContextValidator, AcceptsWhatFits) {
    EXPECT_THAT(
        problems(kOrder, json::parse(R"({"order_id":"ORD-1","items":[{"sku":"A","quantity":2}],"total":3})")),
        ElementsAre());
}

TEST(ContextValidator, NamesPathAndCure) {
    EXPECT_THAT(problems(kOrder, json::parse(R"({"order_id":"ORD-1","items":[]})")),
                ElementsAre("$.items: must have at least 1 item"));
    EXPECT_THAT(
        problems(kOrder,
                 json::parse(R"({"order_id":"ORD-1","items":[{"sku":"A"},{"sku":"B"},{"sku":"C"}]})")),
        ElementsAre("$.items: must have at most 2 items"));
    EXPECT_THAT(problems(kOrder, json::parse(R"({"items":[{"sku":"A"}]})")),
                ElementsAre("$: must have the key 'order_id'"));
    EXPECT_THAT(problems(kOrder, json::parse(R"({"order_id":7,"items":[{"sku":"A"}]})")),
                ElementsAre("$.order_id: must be text, is a whole number"));
    EXPECT_THAT(problems(kOrder, json::parse(R"({"order_id":"X-12","items":[{"sku":"A"}]})")),
                ElementsAre("$.order_id: must match the pattern ^ORD-"));
    EXPECT_THAT(problems(kOrder, json::parse(R"({"order_id":"ORD-1","items":[{"sku":"A"}],"country":"XX"})")),
                ElementsAre(R"($.country: must be one of "DE", "FR", is "XX")"));
    EXPECT_THAT(problems(kOrder, json::parse(R"({"order_id":"ORD-1","items":[{"sku":"A"}],"total":0})")),
                ElementsAre("$.total: must be greater than 0"));
    EXPECT_THAT(problems(kOrder, json::parse(R"({"order_id":"ORD-1","items":[{"sku":"A"}],"total":100})")),
                ElementsAre("$.total: must be at most 99.5"));
    EXPECT_THAT(problems(kOrder, json::parse(R"({"order_id":"ORD-1","items":[{"sku":"A"}],"total":"1"})")),
                ElementsAre("$.total: must be a number or null, is text"));
    EXPECT_THAT(problems(kOrder, json::parse(R"({"order_id":"ORD-1","items":[{"sku":"A"}],"colour":1})")),
                ElementsAre("$: has the key 'colour', which is not allowed"));
}

TEST(ContextValidator, ReportsEverythingInDepthThroughReferences) {
    EXPECT_THAT(
        problems(kOrder,
                 json::parse(R"({"order_id":"ORD-1","items":[{"sku":"A","quantity":0},{"quantity":1.5}]})")),
        UnorderedElementsAre("$.items[0].quantity: must be at least 1", "$.items[1]: must have the key 'sku'",
                             "$.items[1].quantity: must be a whole number, is a number"));
}

TEST(ContextValidator, NumericKeysAreNoIndexes) {
    EXPECT_THAT(problems(R"({"properties":{"0":{"type":"string"}}})", json::parse(R"({"0":1})")),
                ElementsAre("$.0: must be text, is a whole number"));
}

TEST(ContextValidator, AlternativesThatAllFailStillSayWhy) {
    const std::vector<std::string> found =
        problems(R"({"properties":{"a":{"anyOf":[{"type":"string"},{"type":"integer"}]}}})",
                 json::parse(R"({"a":[]})"));
    ASSERT_FALSE(found.empty());
    EXPECT_THAT(found[0], HasSubstr("$.a: "));
    const std::vector<std::string> denied =
        problems(R"({"not":{"required":["a"]}})", json::parse(R"({"a":1})"));
    ASSERT_FALSE(denied.empty());
}

TEST(ContextValidator, AContextIsAnObject) {
    EXPECT_THAT(problems("{}", json::array()), ElementsAre("$: must be an object, is a list"));
    EXPECT_THAT(problems("null", json(3)), ElementsAre("$: must be an object, is a whole number"));
    EXPECT_THAT(problems("null", json::parse(R"({"any":["thing"]})")), ElementsAre());
}

TEST(ContextValidator, LongTextsNeverReachThePatternMatcher) {
    const json fits{{"a", std::string(kMatchedTextBytesMax, 'x')}};
    for (const char* pattern : {"^(x|y)*$", "^x*$", "^(((x)|y)|(z|(w)))*$", "^[xyz]{0,}$", "^(.|x)+$"}) {
        const json schema{{"properties", {{"a", {{"pattern", pattern}}}}}};
        EXPECT_THAT(problems(schema.dump(), fits), ElementsAre()) << pattern;
        json other = fits;
        other["a"].get_ref<std::string&>().back() = '!';
        if (std::string(pattern) == "^(.|x)+$") continue;  // its dot also takes the last character
        EXPECT_THAT(problems(schema.dump(), other), ElementsAre(HasSubstr("must match the pattern")))
            << pattern;
    }
    const json too_long{{"a", json::array({std::string(4'000'000, 'x')})}};
    EXPECT_THAT(problems(R"({"properties":{"b":{"pattern":"^(x|y)*$"}}})", too_long),
                ElementsAre(HasSubstr("$.a[0]: has 4000000 bytes")));
    EXPECT_THAT(problems(R"({"properties":{"a":{"type":"array"}}})", too_long), ElementsAre())
        << "without patterns there is no limit";
}

TEST(ContextValidator, NoPatternTakesExponentialTime) {
    const json context{{"a", std::string(5000, 'a') + "!"}};
    for (const char* pattern :
         {"^(a+)+$", "^(a|a)*$", "^([a-zA-Z]+)*$", "(a*)*b", "^(a|aa)+$", "^(.*a){20}$"}) {
        const json schema{{"properties", {{"a", {{"pattern", pattern}}}}}};
        EXPECT_THAT(problems(schema.dump(), context), ElementsAre(HasSubstr("must match the pattern")))
            << pattern;
    }
    EXPECT_THAT(problems(R"({"patternProperties":{"^(a+)+$":{"type":"string"}}})",
                         json{{std::string(5000, 'a') + "!", 1}}),
                ElementsAre());
}

TEST(ContextValidator, PatternsSeeCharactersNotBytes) {
    EXPECT_THAT(problems(R"({"properties":{"a":{"pattern":"^.$"}}})", json{{"a", "é"}}), ElementsAre());
    EXPECT_THAT(problems(R"({"properties":{"a":{"pattern":"^\\u00e9$"}}})", json{{"a", "é"}}), ElementsAre());
    EXPECT_THAT(problems(R"({"properties":{"a":{"pattern":"^\\d\\/\\w$"}}})", json{{"a", "1/x"}}),
                ElementsAre());
}

TEST(ContextValidator, AWholeNumberIsAnIntegerHoweverItIsWritten) {
    const std::string schema =
        R"({"properties":{"n":{"type":"integer","minimum":1},"e":{"enum":[1.0,"x"]}}})";
    EXPECT_THAT(problems(schema, json::parse(R"({"n":1.0})")), ElementsAre());
    EXPECT_THAT(problems(schema, json::parse(R"({"n":2e2})")), ElementsAre());
    EXPECT_THAT(problems(schema, json::parse(R"({"n":1.5})")),
                ElementsAre(HasSubstr("must be a whole number")));
    EXPECT_THAT(problems(schema, json::parse(R"({"n":0.0})")), ElementsAre(HasSubstr("must be at least 1")));
    for (const char* one : {R"({"e":1})", R"({"e":1.0})", R"({"e":"x"})"}) {
        EXPECT_THAT(problems(schema, json::parse(one)), ElementsAre()) << one;
    }
    EXPECT_THAT(problems(R"({"properties":{"n":{"const":[2]}}})", json::parse(R"({"n":[2.0]})")),
                ElementsAre());
}

TEST(ContextValidator, AFormatSaysNothingAboutWhatIsNoText) {
    const std::string schema = R"({"properties":{"a":{"format":"date-time"}}})";
    EXPECT_THAT(problems(schema, json::parse(R"({"a":3})")), ElementsAre());
    EXPECT_THAT(problems(schema, json::parse(R"({"a":"2026-03-01T12:00:00Z"})")), ElementsAre());
    EXPECT_THAT(problems(schema, json::parse(R"({"a":"tomorrow"})")),
                ElementsAre("$.a: must be a valid date-time"));
    const std::string names =
        R"({"properties":{"format":{"const":1.0},"const":{"format":"date"}},"allOf":[{}]})";
    EXPECT_THAT(problems(names, json::parse(R"({"format":1,"const":"2026-03-01"})")), ElementsAre());
    EXPECT_THAT(problems(names, json::parse(R"({"const":"x"})")),
                ElementsAre("$.const: must be a valid date"));
}

TEST(ContextValidator, DeepContextsAreRefusedBeforeTheyRecurse) {
    json deep = json::object();
    for (int level = 1; level < kContextDepthMax; ++level) deep = json{{"a", std::move(deep)}};
    const std::string recursive = R"({"properties":{"a":{"$ref":"#"}}})";
    EXPECT_THAT(problems(recursive, deep), ElementsAre());
    for (int level = 0; level < 10'000; ++level) deep = json{{"a", std::move(deep)}};
    EXPECT_THAT(problems(recursive, deep), ElementsAre(HasSubstr("is nested deeper than 60 levels")));
}

TEST(ContextValidator, AnUnusableSchemaThrows) {
    EXPECT_THROW(ContextValidator(json::parse(R"({"required": 5})")), std::invalid_argument);
    EXPECT_THROW(ContextValidator{json::array()}, std::invalid_argument);
    EXPECT_THROW(ContextValidator(json::parse(R"({"properties":{"a":{"$ref":"http://example.com/s"}}})")),
                 std::invalid_argument);
}

TEST(ContextValidator, ThreadsMayShareOne) {
    const ContextValidator validator(json::parse(kOrder));
    const json good = json::parse(R"({"order_id":"ORD-1","items":[{"sku":"A"}]})");
    const json bad = json::parse(R"({"order_id":"X-12","items":[{"sku":"A"}]})");
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&] {
            for (int round = 0; round < 200; ++round) {
                if (!validator.validate(good).empty() || validator.validate(bad).size() != 1) ++wrong;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace tasker::templates
