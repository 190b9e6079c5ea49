#include "orchestrator/options/yaml/write.hpp"

#include <gtest/gtest.h>

#include "orchestrator/options/yaml/reader.hpp"

namespace tasker::yaml {
namespace {

YamlNode parsed(const std::string& text) {
    ProblemList problems("w.yaml");
    auto root = parse(text, problems);
    for (const Problem& problem : problems.take_sorted()) ADD_FAILURE() << to_string(problem) << "\n" << text;
    return root ? std::move(*root) : YamlNode{};
}

nlohmann::json json_of(const YamlNode& node) {
    ProblemList problems("w.yaml");
    nlohmann::json value = to_json({node, ""}, problems);
    EXPECT_EQ(problems.size(), 0U);
    return value;
}

TEST(Write, IsReadBackAsItWas) {
    const std::string text =
        "a: 1\nb: \"1\"\nc: [1, [2, {}, []], { d: ~ }]\ne: { f: 'it''s', \"g h\": no, 'true': 1.50 }\n"
        "h: |\n  two\n  lines\ni: plain text\n\"12\": \"a: b # c\"\nj: \"${X}\"\nk: ${X:-a b}\nl: \"\"\nm: \"- x\"\n"
        "n: first\n  \n  second\no: \"tab\\tü\\u0085\\u2028\\x7f\"\n";
    const YamlNode once = parsed(text);
    const YamlNode twice = parsed(to_yaml(once));
    EXPECT_EQ(json_of(twice), json_of(once)) << to_yaml(once);
    EXPECT_EQ(to_yaml(twice), to_yaml(once));
    EXPECT_EQ(twice.find("j")->quoted, once.find("j")->quoted);
    EXPECT_FALSE(twice.find("k")->quoted) << "a variable without quotes may become a number";
}

TEST(Write, IsPlainWhereThatIsSafe) {
    EXPECT_EQ(
        to_yaml(parsed("a: 'word'\nb: 'two words'\nc: 'Orders::Handler'\nd: 'yes'\ne: '1.0'\nf: 'a: b'\n")),
        "a: word\nb: two words\nc: Orders::Handler\nd: \"yes\"\ne: \"1.0\"\nf: \"a: b\"\n");
    EXPECT_EQ(to_yaml(parsed("a: [{ b: 1, c: [x] }]\n")), "a:\n  - b: 1\n    c:\n      - x\n");
}

TEST(Write, TakesValuesOfJson) {
    const auto value = nlohmann::ordered_json::parse(
        R"({"z": 1.0, "a": [true, null, "no", {"deep": {"text": "x"}}], "empty": {}, "n": -5, "s": "-5"})");
    EXPECT_EQ(json_of(parsed(to_yaml(to_node(value)))), nlohmann::json(value));
}

}  // namespace
}  // namespace tasker::yaml
