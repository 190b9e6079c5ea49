#include "protocol/cpp/json_text.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>

namespace tasker::protocol {
namespace {

TEST(CheckJson, ValidTexts) {
    for (const char* text :
         {"0", "-0.5e+10", "\"\"", "[]", "{}", " [ 1 , { \"a\" : [ ] } , null ] ", "true",
          "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", "[[],[],{}]", "{\"a\":{\"b\":{\"c\":[]}}}"}) {
        const auto error = check_json(text, 64);
        EXPECT_FALSE(error) << text << ": " << error->message;
    }
}

TEST(CheckJson, MalformedTextsAreNamedWithTheirOffset) {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"", "byte 0"},         {"[1,]", "byte 3"},       {"[1 2]", "byte 3"},       {"{\"a\" 1}", "byte 5"},
        {"{\"a\":}", "byte 5"}, {"{a:1}", "byte 1"},      {"{\"a\":1,}", "byte 7"},  {"tru", "byte 0"},
        {"\"abc", "byte 4"},    {"\"\\x\"", "byte 1"},    {"\"\\u12g4\"", "byte 1"}, {"[}", "byte 1"},
        {"nullx", "byte 4"},    {"\"a\tb\"", "byte 2"},   {"01", "byte 1"},          {"1.", "byte 2"},
        {"[1", "byte 2"},       {"{\"a\":1", "byte 6"},   {"]", "byte 0"},           {"\"\\", "byte 1"},
        {"\"\\u00", "byte 1"},  {"{\"a\":1}}", "byte 7"}, {"-", "byte 0"},           {"1e+", "byte 3"}};
    for (const auto& [text, place] : cases) {
        const auto error = check_json(text, 64);
        ASSERT_TRUE(error) << text;
        EXPECT_EQ(error->code, ErrorCode::malformed_json) << text;
        EXPECT_NE(error->message.find(place + ":"), std::string::npos) << text << " → " << error->message;
    }
}

TEST(CheckJson, DepthCountsContainers) {
    EXPECT_FALSE(check_json("1", 0));
    EXPECT_FALSE(check_json("[1]", 1));
    EXPECT_EQ(check_json("[[1]]", 1)->code, ErrorCode::too_deep);
    EXPECT_EQ(check_json("[{}]", 1)->code, ErrorCode::too_deep);
    EXPECT_FALSE(check_json("[{},{},[]]", 2));
}

TEST(CheckJson, StringsOfEveryLengthAreScannedToTheirEnd) {
    // The scanner looks at eight bytes at once: put the interesting byte at every place of a word.
    const auto rejected = [](std::size_t length, std::string_view middle, std::string_view tail) {
        std::string text = "\"";
        text.append(length, 'x').append(middle).append(length, 'x').append(tail);
        return check_json(text, 1).has_value();
    };
    for (std::size_t length = 0; length < 40; ++length) {
        EXPECT_FALSE(rejected(length, "", "\"")) << length;
        EXPECT_FALSE(rejected(length, "\\n\u00e9", "\"")) << length;
        EXPECT_TRUE(rejected(length, "\x1f", "\"")) << length;
        EXPECT_TRUE(rejected(length, "\\q", "\"")) << length;
        EXPECT_TRUE(rejected(length, "", "")) << length;
    }
}

TEST(ContainsNulEscape, TellsAnEscapeFromAnEscapedBackslash) {
    EXPECT_TRUE(contains_nul_escape(R"("\u0000")"));
    EXPECT_TRUE(contains_nul_escape(R"({"a\u0000":1})"));
    EXPECT_TRUE(contains_nul_escape(R"("\\\u0000")"));
    EXPECT_FALSE(contains_nul_escape(R"("\\u0000")"));
    EXPECT_FALSE(contains_nul_escape(R"("\u0001 u0000")"));
    EXPECT_FALSE(contains_nul_escape(R"("plain")"));
    EXPECT_FALSE(contains_nul_escape(""));
}

TEST(UnstorableReason, EscapesThatJsonbRefuses) {
    for (const char* text :
         {R"("\u0000")", R"(["a",{"\u0000":1}])", R"("\ud800")", R"("\ud800x")", R"("\udc00")",
          R"("\ud83d\u0041")", R"("\ud83d\ud83d\ude00")", R"("\uDBFF")", R"("\\\ud800")"}) {
        EXPECT_TRUE(unstorable_reason(text)) << text;
    }
    for (const char* text : {R"("\ud83d\ude00")", R"("\\u0000 \\ud800")", R"("\u0001\uffff")",
                             R"({"a":[1,"b\n"]})", R"("")", R"("\ud83d\ude00\ud83d\ude00")"}) {
        EXPECT_FALSE(unstorable_reason(text)) << text;
    }
}

TEST(UnstorableReason, NumbersOfMoreDigitsThanARequestShouldCarry) {
    const std::string zeros(999, '0');
    for (const std::string& text :
         {std::string("1e999"), std::string("-9.99e999"), std::string("1e-999"), std::string("0e200000"),
          "1" + zeros, std::string("0.001e1002"), std::string("[1, 2.5, -3e10, 1E+5]"),
          std::string("\"1e999999\""), "0." + std::string(999, '1')}) {
        EXPECT_FALSE(unstorable_reason(text)) << text.substr(0, 40);
    }
    for (const std::string& text :
         {std::string("1e1000"), std::string("[-1e1000]"), std::string("1e131071"), std::string("1e131072"),
          std::string("{\"a\":1e-1000}"), "10" + zeros, std::string("1e99999999999999999999"),
          std::string("0e-99999999999"), std::string("0.001e1003"), "0." + std::string(1000, '1')}) {
        EXPECT_TRUE(unstorable_reason(text)) << text.substr(0, 40);
    }
}

TEST(UnstorableReason, MeasuresTheTextThatJsonbWrites) {
    const std::pair<const char*, std::int64_t> cases[] = {
        {"null", 4},
        {" [ 1 , 2,3 ] ", 9},       // [1, 2, 3]
        {R"({"a":{"b":[]}})", 16},  // {"a": {"b": []}}
        {"1e5", 6},
        {"-1.50", 5},
        {"-12.5e-3", 7},  // -0.0125
        {"0.001e2", 3},   // 0.1
        {"120e-1", 4},    // 12.0
        {R"("\/\n\u000a\u0001\"\\")", 1 + 2 + 2 + 6 + 2 + 2 + 2},
        {R"("\u0041\u00e9\u65e5\ud83d\ude00")", 1 + 2 + 3 + 4 + 2},
    };
    for (const auto& [text, bytes] : cases) {
        JsonMeasure measure;
        EXPECT_FALSE(unstorable_reason(text, measure)) << text;
        EXPECT_EQ(measure.text_bytes, bytes) << text;
    }
    JsonMeasure measure;
    unstorable_reason(R"([[], {"a": "[[["}, [[1]]])", measure);
    EXPECT_EQ(measure.depth, 3U);
    unstorable_reason("7", measure);
    EXPECT_EQ(measure.depth, 0U);
}

TEST(UnstorableReason, TextThatIsNoJsonIsNotReadBeyondItsEnd) {
    for (const std::string text : {"\"", "\"\\", "\"\\u00", "\"abc", "\"a\nb\"", "1e", "-"}) {
        unstorable_reason(text);  // under the address sanitizer this is the test
    }
    EXPECT_TRUE(unstorable_reason("\"abc"));
}

}  // namespace
}  // namespace tasker::protocol
