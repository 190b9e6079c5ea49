#include "protocol/cpp/json_text.hpp"

#include <gtest/gtest.h>

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
        EXPECT_EQ(error->code, ErrorCode::kMalformedJson) << text;
        EXPECT_NE(error->message.find(place + ":"), std::string::npos) << text << " → " << error->message;
    }
}

TEST(CheckJson, DepthCountsContainers) {
    EXPECT_FALSE(check_json("1", 0));
    EXPECT_FALSE(check_json("[1]", 1));
    EXPECT_EQ(check_json("[[1]]", 1)->code, ErrorCode::kTooDeep);
    EXPECT_EQ(check_json("[{}]", 1)->code, ErrorCode::kTooDeep);
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

TEST(UnstorableReason, NumbersThatNumericCannotHold) {
    const std::string zeros(131'071, '0');
    for (const std::string& text : {std::string("1e131071"), std::string("-9.99e131071"),
                                    std::string("1e-16383"), std::string("0e200000"), "1" + zeros,
                                    std::string("0.001e131074"), std::string("[1, 2.5, -3e10, 1E+5]"),
                                    std::string("\"1e999999\""), "0." + std::string(16'383, '1')}) {
        EXPECT_FALSE(unstorable_reason(text)) << text.substr(0, 40);
    }
    for (const std::string& text :
         {std::string("1e131072"), std::string("[-1e131072]"), std::string("{\"a\":1e-16384}"), "10" + zeros,
          std::string("1e99999999999999999999"), std::string("0e-99999999999"), std::string("0.001e131075"),
          "0." + std::string(16'384, '1')}) {
        EXPECT_TRUE(unstorable_reason(text)) << text.substr(0, 40);
    }
}

TEST(UnstorableReason, TextThatIsNoJsonIsNotReadBeyondItsEnd) {
    for (const std::string text : {"\"", "\"\\", "\"\\u00", "\"abc", "\"a\nb\"", "1e", "-"}) {
        unstorable_reason(text);  // under the address sanitizer this is the test
    }
    EXPECT_TRUE(unstorable_reason("\"abc"));
}

}  // namespace
}  // namespace tasker::protocol
