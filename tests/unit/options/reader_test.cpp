#include "orchestrator/options/yaml/reader.hpp"

#include <gtest/gtest.h>

namespace tasker::yaml {
namespace {

// One scalar or structure as it stands in a file, read through `read`.
class Value {
  public:
    explicit Value(const std::string& text) : problems_("f.yaml") {
        ProblemList parsing("f.yaml");
        std::optional<YamlNode> root = parse("v: " + text + "\n", parsing);
        EXPECT_TRUE(root.has_value()) << text;
        node_ = root->entries.at(0).value;
    }

    Located located() const { return {node_, "v"}; }
    ProblemList& problems() { return problems_; }
    std::string message() {
        const std::vector<Problem> found = problems_.take_sorted();
        return found.empty() ? "" : found.front().message;
    }

  private:
    YamlNode node_;
    ProblemList problems_;
};

std::optional<std::int64_t> integer(const std::string& text, NumericText mode = NumericText::refuse) {
    Value value(text);
    return read_integer(value.located(), {-5, 100}, mode, "ms", value.problems());
}

std::string integer_message(const std::string& text) {
    Value value(text);
    EXPECT_EQ(read_integer(value.located(), {-5, 100}, NumericText::refuse, "ms", value.problems()),
              std::nullopt);
    return value.message();
}

nlohmann::json json_of(const std::string& text) {
    Value value(text);
    nlohmann::json result = to_json(value.located(), value.problems());
    EXPECT_EQ(value.message(), "") << text;
    return result;
}

TEST(ReadInteger, TakesWholeNumbersWithinLimits) {
    EXPECT_EQ(integer("100"), 100);
    EXPECT_EQ(integer("-5"), -5);
    EXPECT_EQ(integer("+7"), 7);
    EXPECT_EQ(integer("\"7\"", NumericText::accept), 7);
    EXPECT_EQ(integer_message("101"), "101 is out of range: allowed is -5 to 100 ms.");
    EXPECT_EQ(integer_message("99999999999999999999"),
              "99999999999999999999 is out of range: allowed is -5 to 100 ms.");
}

TEST(ReadInteger, RefusesOtherTypes) {
    EXPECT_EQ(integer_message("1.5"), "Expected a whole number, found a number '1.5'.");
    EXPECT_EQ(integer_message("\"7\""), "Expected a whole number, found text '7'.");
    EXPECT_EQ(integer_message("ten"), "Expected a whole number, found text 'ten'.");
    EXPECT_EQ(integer_message("true"), "Expected a whole number, found a truth value 'true'.");
    EXPECT_EQ(integer_message("[1]"), "Expected a whole number, found a list.");
    EXPECT_EQ(integer_message("0x10"), "Expected a whole number, found text '0x10'.");
}

TEST(ReadNumber, TakesFractionsButNothingInfinite) {
    Value half(".5");
    EXPECT_EQ(read_number(half.located(), {0, 1}, NumericText::refuse, "", half.problems()), 0.5);
    Value small("2.5e-1");
    EXPECT_EQ(read_number(small.located(), {0, 1}, NumericText::refuse, "", small.problems()), 0.25);
    Value infinite(".inf");
    EXPECT_EQ(read_number(infinite.located(), {0, 1}, NumericText::refuse, "", infinite.problems()),
              std::nullopt);
    EXPECT_EQ(infinite.message(), "Expected a number, found a number '.inf'.");
    Value huge("1e999");
    EXPECT_EQ(read_number(huge.located(), {0, 1}, NumericText::refuse, "", huge.problems()), std::nullopt);
    EXPECT_EQ(huge.message(), "1e999 is out of range: allowed is 0 to 1.");
}

TEST(ReadBool, TakesTrueAndFalseOnly) {
    Value yes("true");
    EXPECT_EQ(read_bool(yes.located(), yes.problems()), true);
    Value no("False");
    EXPECT_EQ(read_bool(no.located(), no.problems()), false);
    Value word("yes");
    EXPECT_EQ(read_bool(word.located(), word.problems()), std::nullopt);
    EXPECT_EQ(word.message(), "Expected true or false, found text 'yes'.");
}

TEST(ReadText, AsksForQuotesWhereYamlMeansSomethingElse) {
    Value number("12");
    EXPECT_EQ(read_text(number.located(), 1, 10, number.problems()), std::nullopt);
    EXPECT_EQ(number.message(),
              "Expected text, found a whole number '12'. Put it in quotes if text is meant.");
    Value spelled("1.10");
    EXPECT_EQ(read_spelling(spelled.located(), 10, spelled.problems()), "1.10");
    Value empty("\"\"");
    EXPECT_EQ(read_text(empty.located(), 1, 10, empty.problems()), std::nullopt);
    EXPECT_EQ(empty.message(), "The text must not be empty.");
    Value long_text("abcdefghijk");
    EXPECT_EQ(read_text(long_text.located(), 1, 10, long_text.problems()), std::nullopt);
    EXPECT_EQ(long_text.message(), "The text has 11 bytes, the limit is 10.");
}

TEST(ReadChoice, ListsWhatIsAllowed) {
    Value value("dead_leter");
    EXPECT_EQ(read_choice(value.located(), {"retry", "dead_letter"}, value.problems()), std::nullopt);
    EXPECT_EQ(value.message(), "'dead_leter' is none of retry, dead_letter. Did you mean 'dead_letter'?");
}

TEST(ToJson, TypesPlainScalarsAsYamlTwelveDoes) {
    EXPECT_EQ(json_of("{ a: 1, b: 1.5, c: true, d: ~, e: no, f: \"1\", g: [x, 2] }"),
              nlohmann::json::parse(R"({"a":1,"b":1.5,"c":true,"d":null,"e":"no","f":"1","g":["x",2]})"));
    EXPECT_EQ(json_of("-9223372036854775808"), nlohmann::json(INT64_MIN));
    EXPECT_EQ(json_of("18446744073709551615").dump(), "18446744073709551615");
    for (const char* number : {"0.1", "19.99", "1.7976931348623157e+308", "5e-324", "0.30000000000000004"}) {
        EXPECT_EQ(json_of(number).dump(), number);
    }
    EXPECT_EQ(json_of("[1.10, 1e3, 00.500, -0.0, 1e22]").dump(), "[1.1,1000.0,0.5,-0.0,1e+22]");
    EXPECT_EQ(json_of("2026-01-02"), nlohmann::json("2026-01-02"));
}

TEST(ToJson, RefusesNumbersThatWouldChange) {
    for (const std::string text :
         {"18446744073709551616", "-9223372036854775809", "1e999", "1e-400", ".nan", "-.inf",
          "0.12345678901234567890", "9007199254740993.0", "2.0000000000000000001", "1e23"}) {
        Value value(text);
        to_json(value.located(), value.problems());
        const std::vector<Problem> found = value.problems().take_sorted();
        ASSERT_EQ(found.size(), 1U) << text;
        EXPECT_EQ(found[0].field, "v");
        EXPECT_NE(found[0].message.find("in quotes"), std::string::npos);
    }
}

TEST(MapReader, ReportsUnknownMissingAndEmptyKeys) {
    Value value("{ nmae: x, size: ~ }");
    MapReader map(value.located(), value.problems());
    EXPECT_EQ(map.require("name"), nullptr);
    EXPECT_EQ(map.get("size"), nullptr);
    map.finish();
    const std::vector<Problem> found = value.problems().take_sorted();
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(to_string(found[0]), "f.yaml:1:4: error: v.name: The required key 'name' is missing.");
    EXPECT_EQ(to_string(found[1]), "f.yaml:1:6: error: v.nmae: Unknown key 'nmae'. Did you mean 'name'?");
    EXPECT_EQ(found[2].field, "v.size");
}

}  // namespace
}  // namespace tasker::yaml
