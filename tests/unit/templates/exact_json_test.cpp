#include "orchestrator/templates/exact_json.hpp"

#include <gtest/gtest.h>

#include "orchestrator/templates/decimal.hpp"

namespace tasker::templates {
namespace {

std::string refusal(const std::string& text, int depth_max = 10) {
    const auto value = parse_exact_json(text, depth_max);
    if (value) return "accepted";
    return (value.error().is_json ? "limit " : "no JSON ") + value.error().path + " " + value.error().message;
}

TEST(ExactJson, KeepsNumbersAsTheyAreWritten) {
    const std::string text =
        R"({"a":12345678901234567890123,"b":18446744073709551616,"c":1e-400,"d":-0.0,"e":1.10,"f":1E+5,)"
        R"("g":[1e999,-9223372036854775808,18446744073709551615,0.1]})";
    const auto value = parse_exact_json(text, 10);
    ASSERT_TRUE(value.has_value());
    EXPECT_EQ(value->dump(), text);
}

TEST(ExactJson, ItsTextMeansTheSame) {
    const auto value = parse_exact_json(
        "\xEF\xBB\xBF { \"b\" : [ true , false, null,\t{} , [] ] , \"\\u0061\\n\\\"\" : \"\\u00e9\\u0001/\"}",
        10);
    ASSERT_TRUE(value.has_value());
    EXPECT_EQ(value->dump(), R"({"a\n\"":"é\u0001/","b":[true,false,null,{},[]]})");
    const auto again = parse_exact_json(value->dump(), 10);
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(*again, *value);
}

TEST(ExactJson, EqualValuesShareTheirNormalForm) {
    const auto form = [](const std::string& text) { return parse_exact_json(text, 10)->normal_form(); };
    EXPECT_EQ(form(R"({"b":1e3,"a":-0.0,"c":1.25,"d":[10e-1]})"), R"({"a":0,"b":1000,"c":1.25,"d":[1]})");
    EXPECT_EQ(form("[0.00120,-12.0,1e41,1e-42,-1.5e60]"), "[0.0012,-12,1e41,1e-42,-15e59]");
    EXPECT_NE(form("[12345678901234567890123]"), form("[12345678901234567890124]"));
    EXPECT_NE(form("[1e-400]"), form("[0]"));
}

TEST(ExactJson, AKeyGivenTwiceIsNamedWithItsPlace) {
    EXPECT_EQ(refusal(R"({"a":1,"a":1})"), "limit $ the key 'a' is given twice");
    EXPECT_EQ(refusal(R"({"x":[0,{"y":{"b":1,"a":2,"\u0061":3}}]})"),
              "limit $.x[1].y the key 'a' is given twice");
    EXPECT_EQ(refusal(R"({"a":{"a":{"a":1}},"b":{"a":1}})"), "accepted");
}

TEST(ExactJson, LimitsNameThePlace) {
    EXPECT_EQ(refusal("[[[1]]]", 3), "accepted");
    EXPECT_EQ(refusal("[[[1]]]", 2), "limit  is nested deeper than 2 levels");
    EXPECT_EQ(refusal(std::string(1'000'000, '[')), "limit  is nested deeper than 10 levels");
    EXPECT_EQ(refusal("{\"a\":[" + std::string(1000, '9') + "]}"), "accepted");
    for (const std::string& number :
         {std::string(1001, '9'), std::string("1e1000"), std::string("1e99999"), std::string("1e-1000"),
          std::string("-1e-99999999999999999999"), "1." + std::string(1000, '0')}) {
        EXPECT_EQ(refusal("{\"a\":[0," + number + "]}"),
                  "limit $.a[1] holds a number of more than 1000 digits")
            << number;
    }
    EXPECT_EQ(refusal(R"({"a":["\u0000"]})"),
              "limit $.a[0] contains the character \\u0000, which cannot be stored");
    EXPECT_EQ(refusal(R"({"a":{"\u0000":1}})"),
              "limit $.a (in a key) contains the character \\u0000, which cannot be stored");
}

TEST(ExactJson, WhatIsNoJsonIsRefused) {
    for (const char* text :
         {"", "{", "[1,]", "{\"a\"}", "01", "1.", ".5", "+1", "NaN", "[1] 2", "'a'", "{\"a\":1,}"}) {
        EXPECT_TRUE(refusal(text).starts_with("no JSON ")) << text << refusal(text);
    }
}

TEST(Decimal, ComparesByValue) {
    const auto less = [](const char* left, const char* right) { return Decimal(left) < Decimal(right); };
    const char* rising[] = {"-1e400", "-18446744073709551616",
                            "-10",    "-9.5",
                            "-0.1",   "-1e-400",
                            "0",      "1e-400",
                            "0.09",   "0.1",
                            "0.11",   "1",
                            "9.99",   "10",
                            "1e400"};
    for (std::size_t i = 0; i < std::size(rising); ++i) {
        for (std::size_t j = 0; j < std::size(rising); ++j) {
            EXPECT_EQ(less(rising[i], rising[j]), i < j) << rising[i] << " " << rising[j];
        }
    }
    for (const char* one : {"1", "1.0", "10e-1", "0.1e1", "0.001E+3", "1e0"})
        EXPECT_EQ(Decimal(one), Decimal("1"));
    for (const char* zero : {"0", "-0", "0.00", "-0e5", "0e-99999999999"})
        EXPECT_EQ(Decimal(zero), Decimal());
}

TEST(Decimal, CountsTheDigitsThatPostgresWrites) {
    EXPECT_EQ(written_digits("0"), 1);
    EXPECT_EQ(written_digits("-12.50"), 4);
    EXPECT_EQ(written_digits("0.0001"), 5);
    EXPECT_EQ(written_digits("1.5e3"), 4);
    EXPECT_EQ(written_digits("1e999"), 1000);
    EXPECT_EQ(written_digits("1e-400"), 401);
    EXPECT_EQ(written_digits("0e5"), 1);
}

}  // namespace
}  // namespace tasker::templates
