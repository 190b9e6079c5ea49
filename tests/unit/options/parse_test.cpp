#include <gtest/gtest.h>

#include <filesystem>

#include "orchestrator/options/yaml/node.hpp"

namespace tasker::yaml {
namespace {

struct Parsed {
    std::optional<YamlNode> root;
    std::vector<Problem> problems;
};

Parsed parse_text(const std::string& text) {
    ProblemList problems("test.yaml");
    std::optional<YamlNode> root = parse(text, problems);
    return {std::move(root), problems.take_sorted()};
}

// The text is refused with exactly one problem at this place, whose message holds `part`.
void expect_refused(const std::string& text, int line, int column, const std::string& part) {
    const Parsed parsed = parse_text(text);
    EXPECT_FALSE(parsed.root.has_value());
    ASSERT_EQ(parsed.problems.size(), 1U) << text;
    EXPECT_EQ(parsed.problems[0].file, "test.yaml");
    EXPECT_EQ(parsed.problems[0].line, line) << to_string(parsed.problems[0]);
    EXPECT_EQ(parsed.problems[0].column, column) << to_string(parsed.problems[0]);
    EXPECT_NE(parsed.problems[0].message.find(part), std::string::npos) << to_string(parsed.problems[0]);
}

TEST(Parse, KeepsPlacesKindsAndQuotes) {
    const Parsed parsed = parse_text("a: 1\nb:\n  - \"2\"\n  - x: y\nc: ~\n");
    ASSERT_TRUE(parsed.root);
    const YamlNode* a = parsed.root->find("a");
    ASSERT_NE(a, nullptr);
    EXPECT_EQ(a->text, "1");
    EXPECT_FALSE(a->quoted);
    EXPECT_EQ(a->line, 1);
    EXPECT_EQ(a->column, 4);
    const YamlNode* b = parsed.root->find("b");
    ASSERT_NE(b, nullptr);
    ASSERT_EQ(b->items.size(), 2U);
    EXPECT_TRUE(b->items[0].quoted);
    EXPECT_EQ(b->items[0].line, 3);
    EXPECT_EQ(b->items[1].entries[0].key, "x");
    EXPECT_EQ(b->items[1].entries[0].line, 4);
    EXPECT_EQ(parsed.root->find("c")->kind, YamlNode::Kind::null);
    EXPECT_EQ(parsed.root->find("d"), nullptr);
}

TEST(Parse, BlockTextIsText) {
    const Parsed parsed = parse_text("a: |\n  12\nb: >-\n  13\nc: !!str 14\nd: !!int 15\n");
    ASSERT_TRUE(parsed.root);
    EXPECT_TRUE(parsed.root->find("a")->quoted);
    EXPECT_EQ(parsed.root->find("a")->text, "12\n");
    EXPECT_TRUE(parsed.root->find("b")->quoted);
    EXPECT_TRUE(parsed.root->find("c")->quoted);
    EXPECT_FALSE(parsed.root->find("d")->quoted);
}

TEST(Parse, ResolvesAliasesAndMergeKeys) {
    const Parsed parsed = parse_text("base: &b { x: 1, y: 2 }\nmore: { <<: *b, y: 3 }\nsame: *b\n");
    ASSERT_TRUE(parsed.root);
    const YamlNode* more = parsed.root->find("more");
    ASSERT_EQ(more->entries.size(), 2U);
    EXPECT_EQ(more->find("x")->text, "1");
    EXPECT_EQ(more->find("y")->text, "3") << "a map's own key wins over a merged one";
    EXPECT_EQ(parsed.root->find("same")->find("y")->text, "2");
    EXPECT_EQ(parsed.root->find("same")->line, 3);
}

TEST(Parse, RefusesWhatIsNoSingleYamlDocument) {
    expect_refused("", 1, 1, "empty");
    expect_refused("# only a comment\n", 1, 1, "empty");
    expect_refused("a: 1\n---\nb: 2\n", 2, 1, "second one");
    expect_refused("a: [1, 2\nb: 3\n", 2, 2, "Malformed YAML");
    expect_refused("a: b: c\n", 1, 5, "Malformed YAML");
    expect_refused("a: *nowhere\n", 1, 4, "Malformed YAML");
}

TEST(Parse, RefusesKeysGivenTwiceAndKeysThatAreNoText) {
    expect_refused("a: 1\nb:\n  x: 1\n  y: 2\n  x: 3\n", 5, 3,
                   "'x' is given twice in one map, first in line 3");
    expect_refused("[1, 2]: x\n", 1, 1, "A key must be text");
    expect_refused("a: { <<: 3 }\n", 1, 10, "'<<' must be a map");
    expect_refused("a: !ruby/object 3\n", 1, 4, "not supported");
    expect_refused("a: &x [*x]\n", 1, 8, "contains it");
}

TEST(Parse, RefusesBytesThatCannotBeStored) {
    expect_refused("a: ok\nb: \"x\xC3(\"\n", 2, 6, "not valid UTF-8");
    expect_refused("a: \xED\xA0\x80\n", 1, 4, "not valid UTF-8");
    expect_refused("a: \xC0\xAF\n", 1, 4, "not valid UTF-8");
    expect_refused("a: \"x\\0y\"\n", 1, 4, "U+0000");
}

TEST(Parse, BoundsDepthAndSize) {
    const auto nested = [](int depth) { return "a: " + std::string(depth, '[') + std::string(depth, ']'); };
    EXPECT_TRUE(parse_text(nested(kDepthMax - 1)).root.has_value());
    expect_refused(nested(kDepthMax), 1, 3 + kDepthMax, "deeper than 48 levels");
    expect_refused(nested(100'000), 1, 3 + kDepthMax, "deeper");

    std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int level = 1; level < 10; ++level) {
        const std::string below = "*a" + std::to_string(level - 1);
        bomb += "a" + std::to_string(level) + ": &a" + std::to_string(level) + " [";
        for (int copy = 0; copy < 9; ++copy) bomb += below + ", ";
        bomb += below + "]\n";
    }
    const Parsed parsed = parse_text(bomb);
    EXPECT_FALSE(parsed.root.has_value());
    ASSERT_EQ(parsed.problems.size(), 1U);
    EXPECT_NE(parsed.problems[0].message.find("more than 500000 values"), std::string::npos);

    const Parsed big = parse_text(std::string(kFileBytesMax + 1, ' '));
    EXPECT_FALSE(big.root.has_value());
    ASSERT_EQ(big.problems.size(), 1U);
    EXPECT_NE(big.problems[0].message.find("larger than 16777216 bytes"), std::string::npos);
}

TEST(Parse, BoundsWhatAnchorsAndAliasesCopy) {
    // Each of these anchors keeps the whole list below it once more.
    std::string anchors = "a: ";
    for (int level = 0; level < kDepthMax - 2; ++level) anchors += "&a" + std::to_string(level) + " [";
    for (int item = 0; item < 20'000; ++item) anchors += "x,";
    const Parsed lists = parse_text(anchors + "x" + std::string(kDepthMax - 2, ']') + "\n");
    EXPECT_FALSE(lists.root.has_value());
    ASSERT_EQ(lists.problems.size(), 1U);
    EXPECT_NE(lists.problems[0].message.find("more than 500000 values"), std::string::npos);
    // Few values, each of them long.
    std::string texts = "a: &a " + std::string(1'000'000, 'x') + "\nb: [";
    for (int copy = 0; copy < 1000; ++copy) texts += "*a, ";
    const Parsed parsed = parse_text(texts + "*a]\n");
    EXPECT_FALSE(parsed.root.has_value());
    ASSERT_EQ(parsed.problems.size(), 1U);
    EXPECT_NE(parsed.problems[0].message.find("copy more than 67108864 bytes of text"), std::string::npos)
        << parsed.problems[0].message;
}

TEST(Parse, NestingBehindAnOddKeyIsBoundedToo) {
    const Parsed parsed = parse_text("? [a]\n: " + std::string(100'000, '[') + "\n");
    EXPECT_FALSE(parsed.root.has_value());
    EXPECT_EQ(parsed.problems.size(), 1U);
}

TEST(ParseFile, NamesTheReasonWhenAFileCannotBeRead) {
    ProblemList missing("/nonexistent/x.yaml");
    EXPECT_FALSE(parse_file(missing).has_value());
    EXPECT_EQ(missing.take_sorted().at(0).message, "The file cannot be read: No such file or directory.");
    ProblemList directory(std::filesystem::temp_directory_path().string());
    EXPECT_FALSE(parse_file(directory).has_value());
    EXPECT_NE(directory.take_sorted().at(0).message.find("directory"), std::string::npos);
}

}  // namespace
}  // namespace tasker::yaml
