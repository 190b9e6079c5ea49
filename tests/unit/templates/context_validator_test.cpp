#include "orchestrator/templates/context_validator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <ctime>
#include <nlohmann/json.hpp>
#include <thread>

namespace tasker::templates {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

ExactJson exact(const std::string& text) {
    auto value = parse_exact_json(text, 200);
    if (!value) ADD_FAILURE() << value.error().path << " " << value.error().message << " in " << text;
    return value ? std::move(*value) : ExactJson();
}

std::vector<std::string> problems(const std::string& schema, const std::string& context) {
    std::vector<std::string> texts;
    for (const ContextProblem& problem :
         ContextValidator(exact(schema), "shop/t:1").validate(exact(context))) {
        texts.push_back(to_string(problem));
    }
    return texts;
}

std::vector<std::string> problems(const std::string& schema, const char* context) {
    return problems(schema, std::string(context));
}

std::vector<std::string> problems(const std::string& schema, const json& context) {
    return problems(schema, context.dump());
}

// What a schema of the one key "v" says about this value.
std::vector<std::string> judged(const std::string& schema, const std::string& value) {
    return problems(R"({"properties":{"v":)" + schema + "}}", R"({"v":)" + value + "}");
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
    for (int level = 0; level < 100; ++level) deep = json{{"a", std::move(deep)}};
    EXPECT_THAT(problems(recursive, deep), ElementsAre(HasSubstr("is nested deeper than 58 levels")));
}

TEST(ContextValidator, AnUnusableSchemaThrows) {
    for (const char* schema :
         {R"({"required": 5})", "[]", R"({"properties":{"a":{"$ref":"http://example.com/s"}}})",
          R"({"$ref":"#/nowhere"})", R"({"multipleOf":0})", R"({"multipleOf":1.2345678901234567891})",
          R"({"minLength":-1})", R"({"minLength":1.5})", R"({"type":"strng"})", R"({"type":[]})",
          R"({"allOf":[]})", R"({"properties":{"a":5}})", R"({"pattern":"("})",
          R"({"patternProperties":{"(":{}}})", R"({"$ref":"#/x","x":{"maximum":"1"}})",
          R"({"dependencies":{"a":[1]}})", R"({"enum":1})"}) {
        EXPECT_THROW(ContextValidator(exact(schema)), std::invalid_argument) << schema;
    }
}

TEST(ContextValidator, SchemasThatApplyThemselvesEndInAMessage) {
    EXPECT_THAT(problems(R"({"$ref":"#"})", "{}"),
                ElementsAre(HasSubstr("the schema of shop/t:1: its parts apply each other too often")));
    EXPECT_THAT(problems(R"({"anyOf":[{"not":{"$ref":"#"}}]})", "{}"),
                ElementsAre(HasSubstr("apply each other too often")));
}

TEST(ContextValidator, ReferencesThatMultiplyEndInAMessageThatNamesTheSchema) {
    for (const std::string word : {"allOf", "anyOf", "oneOf"}) {
        json schema{{"$ref", "#/definitions/d0"}};
        constexpr int levels = 40;
        for (int level = 0; level < levels; ++level) {
            const json next{{"$ref", "#/definitions/d" + std::to_string(level + 1)}};
            schema["definitions"]["d" + std::to_string(level)] = json{{word, {next, next}}};
        }
        schema["definitions"]["d" + std::to_string(levels)] = {
            {"required", {word == "anyOf" ? "missing" : "a"}}};
        const std::clock_t started = std::clock();
        EXPECT_THAT(
            problems(schema.dump(), R"({"a":1})"),
            ElementsAre("$: cannot be checked against the schema of shop/t:1: it takes more than 0.5 s"));
        EXPECT_LT(std::clock() - started, 2 * CLOCKS_PER_SEC) << word << ": processor time";
    }
}

TEST(ContextValidator, LimitsSeeEveryDigit) {
    EXPECT_THAT(judged(R"({"type":"integer","maximum":100})", "18446744073709551615"),
                ElementsAre("$.v: must be at most 100"));
    EXPECT_THAT(judged(R"({"type":"integer","minimum":0})", "18446744073709551615"), ElementsAre());
    EXPECT_THAT(judged(R"({"type":"integer","minimum":0})", "-12345678901234567890123"),
                ElementsAre("$.v: must be at least 0"));
    EXPECT_THAT(judged(R"({"maximum":18446744073709551615})", "18446744073709551616"),
                ElementsAre("$.v: must be at most 18446744073709551615"));
    EXPECT_THAT(judged(R"({"exclusiveMaximum":9007199254740993})", "9007199254740992"), ElementsAre());
    EXPECT_THAT(judged(R"({"exclusiveMaximum":9007199254740993})", "9007199254740993.0"),
                ElementsAre("$.v: must be less than 9007199254740993"));
    EXPECT_THAT(judged(R"({"exclusiveMinimum":0})", "1e-400"), ElementsAre());
    EXPECT_THAT(judged(R"({"exclusiveMinimum":0})", "-0.0"), ElementsAre("$.v: must be greater than 0"));
    EXPECT_THAT(judged(R"({"maximum":1e308})", "1e999"), ElementsAre(HasSubstr("must be at most 1e308")));
    EXPECT_THAT(judged(R"({"type":"integer"})", "1e999"), ElementsAre());
    EXPECT_THAT(judged(R"({"type":"integer"})", "100e-2"), ElementsAre());
    EXPECT_THAT(judged(R"({"type":"integer"})", "12345678901234567890123.5"),
                ElementsAre("$.v: must be a whole number, is a number"));
    EXPECT_THAT(judged(R"({"not":{"maximum":100}})", "18446744073709551615"), ElementsAre());
}

TEST(ContextValidator, MultiplesAreDecimal) {
    for (const char* value : {"0.3", "0", "-0.7", "12345678901234567890123", "1e300", "5e-1"}) {
        EXPECT_THAT(judged(R"({"multipleOf":0.1})", value), ElementsAre()) << value;
    }
    for (const char* value : {"19.99", "4.35", "0.29", "1.10", "-0.0"}) {
        EXPECT_THAT(judged(R"({"multipleOf":0.01})", value), ElementsAre()) << value;
    }
    EXPECT_THAT(judged(R"({"multipleOf":0.01})", "0.001"), ElementsAre("$.v: must be a multiple of 0.01"));
    EXPECT_THAT(judged(R"({"multipleOf":0.3})", "0.1"), ElementsAre("$.v: must be a multiple of 0.3"));
    EXPECT_THAT(judged(R"({"multipleOf":7})", "7e400"), ElementsAre());
    EXPECT_THAT(judged(R"({"multipleOf":7})", "1e400"), ElementsAre("$.v: must be a multiple of 7"));
    EXPECT_THAT(judged(R"({"multipleOf":20})", "18446744073709551616"),
                ElementsAre("$.v: must be a multiple of 20"));
    EXPECT_THAT(judged(R"({"multipleOf":100})", "18446744073709551600"), ElementsAre());
}

TEST(ContextValidator, EqualMeansTheSameNumber) {
    EXPECT_THAT(judged(R"({"const":-1})", "18446744073709551615"),
                ElementsAre("$.v: must be -1, is 18446744073709551615"));
    EXPECT_THAT(judged(R"({"enum":[12345678901234567890123]})", "12345678901234567890124"),
                ElementsAre(HasSubstr("must be one of 12345678901234567890123")));
    EXPECT_THAT(judged(R"({"enum":[1.5e1,{"a":[1]}]})", R"({"a":[1.0]})"), ElementsAre());
    EXPECT_THAT(judged(R"({"uniqueItems":true})", "[-1,18446744073709551615,1,\"1\",true]"), ElementsAre());
    EXPECT_THAT(judged(R"({"uniqueItems":true})", R"([{"a":1,"b":2},0,{"b":2.0,"a":1}])"),
                ElementsAre("$.v: must not have equal items: [0] and [2]"));
}

TEST(ContextValidator, EveryKeywordOfDraftSevenIsChecked) {
    struct Case {
        const char* schema;
        const char* good;
        const char* bad;
        const char* why;
    };
    const Case cases[] = {
        {R"({"maxLength":2})", R"("éé")", R"("abc")", "must have at most 2 characters"},
        {R"({"items":[{"type":"string"}],"additionalItems":{"type":"null"}})", R"(["a",null])", R"(["a",1])",
         "$.v[1]: must be null, is a whole number"},
        {R"({"items":[{"type":"string"}],"additionalItems":false})", R"(["a"])", R"(["a",1])",
         "$.v[1]: is not allowed"},
        {R"({"contains":{"const":1}})", "[0,1]", "[0]", "must have an item as `contains`"},
        {R"({"maxProperties":1})", R"({"a":1})", R"({"a":1,"b":1})", "must have at most 1 key"},
        {R"({"minProperties":2})", R"({"a":1,"b":1})", "{}", "must have at least 2 keys"},
        {R"({"patternProperties":{"^x":{"type":"null"}},"additionalProperties":{"type":"string"}})",
         R"({"x1":null,"y":"s"})", R"({"x1":1})", "$.v.x1: must be null"},
        {R"({"propertyNames":{"maxLength":1}})", R"({"a":1})", R"({"ab":1})",
         "has the key 'ab', which must have at most 1 character"},
        {R"({"dependencies":{"a":["b"]}})", R"({"b":1})", R"({"a":1})", "must also have the key 'b'"},
        {R"({"dependencies":{"a":{"required":["c"]}}})", R"({"a":1,"c":1})", R"({"a":1})",
         "must have the key 'c'"},
        {R"({"if":{"type":"string"},"then":{"minLength":1},"else":{"minimum":1}})", R"("a")", "0",
         "at least 1"},
        {R"({"if":{"type":"string"},"then":{"minLength":1},"else":{"minimum":1}})", "1", R"("")",
         "1 character"},
        {R"({"allOf":[{"minimum":1},{"maximum":2}]})", "2", "3", "at most 2"},
        {R"({"anyOf":[{"type":"string"},{"minimum":5}]})", "5", "4",
         "must be text, is a whole number, or must be"},
        {R"({"oneOf":[{"minimum":1},{"maximum":2}]})", "3", "1.5", "fits 2 of the schemas under `oneOf`"},
        {R"({"not":{"type":"null"}})", "1", "null", "excludes"},
        {R"({"type":["integer","null"]})", "null", "true", "must be a whole number or null, is true"},
        {R"({"$ref":"#/properties/w","maximum":1})", "5", "7", "must be one of 5"},
    };
    for (const Case& one : cases) {
        const std::string schema = R"({"properties":{"w":{"enum":[5]},"v":)" + std::string(one.schema) + "}}";
        EXPECT_THAT(problems(schema, R"({"v":)" + std::string(one.good) + "}"), ElementsAre()) << one.schema;
        EXPECT_THAT(problems(schema, R"({"v":)" + std::string(one.bad) + "}"),
                    ElementsAre(HasSubstr(one.why)))
            << one.schema;
    }
}

TEST(ContextValidator, ReferencesMayBeEscaped) {
    const std::string schema =
        R"({"properties":{"v":{"$ref":"#/$defs/a~1b%25c~0"}},"$defs":{"a/b%c~":{"const":1}}})";
    EXPECT_THAT(problems(schema, R"({"v":1})"), ElementsAre());
    EXPECT_THAT(problems(schema, R"({"v":2})"), ElementsAre("$.v: must be 1, is 2"));
    EXPECT_THAT(problems(R"({"properties":{"v":{"$ref":"#/allOf/1"}},"allOf":[{},{"not":{"const":2}}]})",
                         R"({"v":2})"),
                ElementsAre(HasSubstr("$.v: fits what")));
}

TEST(ContextValidator, FormatsAreChecked) {
    struct Case {
        const char* format;
        std::vector<const char*> good;
        std::vector<const char*> bad;
    };
    const Case cases[] = {
        {"date", {"2024-02-29", "0000-01-01"}, {"2023-02-29", "2024-2-9", "2024-02-29 ", "2024-13-01"}},
        {"time",
         {"12:00:00Z", "23:59:60z", "01:59:60+02:00", "12:00:00.123456789012-07:30"},
         {"12:00:00", "24:00:00Z", "12:00:60Z", "12:00:00.Z", "12:00:00+2:00", "12:00:00+24:00"}},
        {"date-time",
         {"2026-03-01T12:00:00Z", "2026-03-01t12:00:00+23:59"},
         {"2026-03-01 12:00:00Z", "2026-02-30T12:00:00Z", "2026-03-01", "2026-03-01T"}},
        {"email",
         {"a@b.de", "first.last+tag@host", "\"a b\"@b.de", "a@[127.0.0.1]", "a@[IPv6:::1]"},
         {"no address", "a@", "@b.de", ".a@b.de", "a..b@c", "a@b@c", "a@-b.de", "a@[1.2.3]", "\"a@b.de",
          "\"a\\\"@b"}},
        {"hostname", {"a", "a-1.example.com"}, {"", "a.", "-a", "a_b", "a..b"}},
        {"ipv4", {"127.0.0.1"}, {"127.0.0", "256.0.0.1", "01.2.3.4x", "::1"}},
        {"ipv6", {"::1", "fe80::1:2", "::ffff:1.2.3.4"}, {"1::2::3", "127.0.0.1", "::1%eth0", "g::"}},
        {"uri",
         {"http://a.de/b?c#d", "urn:isbn:1", "mailto:a@b.de", "http://[::1]:80/", "http://a/%20"},
         {"/path", "a.de", "http://a b", "http://a/%2", "http://a/#b#c", "http://[::1", "http://@[::1]@a/",
          "http://a:b/", "1a:b"}},
        {"uuid",
         {"123e4567-e89b-12d3-A456-426614174000"},
         {"123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456-42661417400g"}},
        {"something-else", {"", "anything"}, {}},
    };
    for (const Case& one : cases) {
        const std::string schema = json{{"format", one.format}}.dump();
        for (const char* good : one.good) {
            EXPECT_THAT(judged(schema, json(good).dump()), ElementsAre()) << one.format << " " << good;
        }
        for (const char* bad : one.bad) {
            EXPECT_THAT(judged(schema, json(bad).dump()),
                        ElementsAre(std::string("$.v: must be a valid ") + one.format))
                << bad;
        }
    }
}

TEST(ContextValidator, ThreadsMayShareOne) {
    const ContextValidator validator(exact(kOrder));
    const ExactJson good = exact(R"({"order_id":"ORD-1","items":[{"sku":"A"}]})");
    const ExactJson bad = exact(R"({"order_id":"X-12","items":[{"sku":"A"}]})");
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
