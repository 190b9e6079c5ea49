#include "orchestrator/api/request_fields.hpp"

#include <gtest/gtest.h>

namespace tasker::api {
namespace {

TEST(StorableLength, CountsCharactersAndRefusesWhatPostgresCannotStore) {
    EXPECT_EQ(storable_length(""), 0U);
    EXPECT_EQ(storable_length("Grüße €𝄞"), 8U);
    const std::string_view broken[] = {
        std::string_view("a\0b", 3), "\xff",    "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
        "\xf4\x90\x80\x80",          "\xc3\x28"};
    for (const auto text : broken) EXPECT_FALSE(storable_length(text));
}

TEST(Rfc3339, AcceptsDatesWithAnOffsetOnly) {
    for (const char* good : {"2025-06-30T12:00:00Z", "2025-06-30T12:00:00.123456789+02:00",
                             "2024-02-29 23:59:59-15:59", "2025-06-30t12:00:00z"}) {
        EXPECT_TRUE(is_rfc3339(good)) << good;
    }
    for (const char* bad : {"", "tomorrow", "2025-06-30", "2025-06-30T12:00:00", "2025-02-29T12:00:00Z",
                            "2025-13-01T12:00:00Z", "2025-06-30T24:00:00Z", "2025-06-30T12:60:00Z",
                            "2025-06-30T12:00:00.Z", "2025-06-30T12:00:00+16:00", "2025-06-30T12:00:00Zx",
                            "2025-06-30T12:00:00.1234567890Z", "0000-06-30T12:00:00Z"}) {
        EXPECT_FALSE(is_rfc3339(bad)) << bad;
    }
}

struct Refused {
    const char* field;
    void (*spoil)(TaskRequest&);
};

TEST(FieldProblem, NamesTheField) {
    const Refused cases[] = {
        {"namespace", [](TaskRequest& r) { r.namespace_name.clear(); }},
        {"name", [](TaskRequest& r) { r.name = std::string(129, 'x'); }},
        {"version", [](TaskRequest& r) { r.version = "\xff"; }},
        {"priority", [](TaskRequest& r) { r.priority = 1001; }},
        {"priority", [](TaskRequest& r) { r.priority = -1'000'000'000'000; }},
        {"tags",
         [](TaskRequest& r) {
             r.tags = {"good", ""};
         }},
        {"tags", [](TaskRequest& r) { r.tags.assign(101, "t"); }},
        {"initiator", [](TaskRequest& r) { r.initiator = std::string(129, 'x'); }},
        {"source_system", [](TaskRequest& r) { r.source_system = std::string("a\0", 2); }},
        {"reason", [](TaskRequest& r) { r.reason = std::string(10'001, 'x'); }},
        {"requested_at", [](TaskRequest& r) { r.requested_at = "yesterday"; }},
        {"not_before", [](TaskRequest& r) { r.not_before = "2025-06-30"; }},
        {"idempotency_key", [](TaskRequest& r) { r.idempotency_key = ""; }},
        {"idempotency_key", [](TaskRequest& r) { r.idempotency_key = std::string(1025, 'k'); }},
        {"parent_step_id", [](TaskRequest& r) { r.parent_step_id = 1; }},
    };
    TaskRequest good;
    good.namespace_name = "shop";
    good.name = "one";
    EXPECT_FALSE(field_problem(good));
    for (const auto& one : cases) {
        TaskRequest request = good;
        one.spoil(request);
        const auto problem = field_problem(request);
        ASSERT_TRUE(problem) << one.field;
        EXPECT_EQ(problem->field, one.field);
        EXPECT_EQ(problem->code, "invalid_field");
        EXPECT_FALSE(problem->message.empty());
    }
}

TEST(ParseContext, SaysWhatIsWrong) {
    const auto refusal = [](const std::string& text) {
        const auto context = parse_context(text);
        return context ? std::string("accepted") : context.error().code + ": " + context.error().message;
    };
    EXPECT_EQ(refusal(R"({"a": 1})"), "accepted");
    EXPECT_EQ(refusal("[1]"), "invalid_context: must be a JSON object, is a list");
    EXPECT_EQ(refusal("null"), "invalid_context: must be a JSON object, is null");
    EXPECT_TRUE(refusal("{").starts_with("invalid_json: is not JSON: ")) << refusal("{");
    EXPECT_TRUE(refusal("").starts_with("invalid_json")) << refusal("");
    EXPECT_TRUE(refusal("{\"a\": \"\xff\"}").starts_with("invalid_json"));
    EXPECT_EQ(refusal(R"({"a": 1e999})"), "accepted");
    EXPECT_EQ(refusal(R"({"a": [1e1000]})"),
              "invalid_context: $.a[0]: holds a number of more than 1000 digits");
    EXPECT_EQ(refusal(R"({"a": {"b": 1, "b": 2}})"), "invalid_context: $.a: the key 'b' is given twice");
    EXPECT_TRUE(refusal(R"({"a": NaN})").starts_with("invalid_json"));
    EXPECT_EQ(refusal(R"({"a": {"b": [1, "x\u0000y"]}})"),
              R"(invalid_context: $.a.b[1]: contains the character \u0000, which cannot be stored)");
    EXPECT_TRUE(refusal(R"({"k\u0000": 1})").find("(in a key)") != std::string::npos);
    const std::string deep = "{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
    EXPECT_EQ(refusal(deep), "invalid_context: is nested deeper than 58 levels");
    const std::string large = "{\"a\":\"" + std::string(kContextBytesMax, 'x') + "\"}";
    EXPECT_TRUE(refusal(large).starts_with("invalid_context: has ")) << refusal(large).substr(0, 80);
}

TEST(RequestFields, AContextIsTextWithoutNulAndItsRefusalCanBeShown) {
    for (const std::string& text : {std::string("{}\0garbage", 10), std::string("{\"a\": \"\xFF\"}"),
                                    std::string("{\"a\"\xED\xA0\x80}")}) {
        const auto context = parse_context(text);
        ASSERT_FALSE(context.has_value());
        EXPECT_EQ(context.error().code, "invalid_json");
        EXPECT_EQ(context.error().message, "is not JSON: it must be valid UTF-8 without NUL characters");
    }
    const auto broken_mark = parse_context("\xEF\xBF\xBF{}");
    ASSERT_FALSE(broken_mark.has_value());
    EXPECT_TRUE(storable_length(broken_mark.error().message).has_value());
    EXPECT_NE(broken_mark.error().message.find("invalid BOM"), std::string::npos);
    const auto long_one = parse_context("{\"a\": \"" + std::string(100'000, 'x'));
    ASSERT_FALSE(long_one.has_value());
    EXPECT_LT(long_one.error().message.size(), 500U);
    EXPECT_NE(long_one.error().message.find("missing closing quote"), std::string::npos);
}

}  // namespace
}  // namespace tasker::api
