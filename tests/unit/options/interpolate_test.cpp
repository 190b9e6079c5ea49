#include <gtest/gtest.h>

#include <map>

#include "orchestrator/options/yaml/node.hpp"

namespace tasker::yaml {
namespace {

struct Result {
    std::string text;
    bool unresolved = false;
    std::vector<Problem> problems;
};

Result interpolate_value(const std::string& text, MissingVariable missing = MissingVariable::refuse) {
    const std::map<std::string, std::string, std::less<>> variables{
        {"HOST", "db.example"}, {"PORT", "5432"}, {"EMPTY", ""}, {"NESTED", "${HOST}"}, {"BROKEN", "\xFF"}};
    YamlNode map;
    map.kind = YamlNode::Kind::map;
    YamlNode value;
    value.kind = YamlNode::Kind::scalar;
    value.text = text;
    value.line = 4;
    value.column = 9;
    map.entries.push_back({"url", 4, 1, value});
    ProblemList problems("f.yaml");
    interpolate(
        map,
        [&variables](std::string_view name) -> std::optional<std::string> {
            const auto found = variables.find(name);
            if (found == variables.end()) return std::nullopt;
            return found->second;
        },
        missing, "database", problems);
    return {map.entries[0].value.text, map.entries[0].value.unresolved, problems.take_sorted()};
}

TEST(Interpolate, ReplacesVariablesAndDefaults) {
    EXPECT_EQ(interpolate_value("postgresql://${HOST}:${PORT}/x").text, "postgresql://db.example:5432/x");
    EXPECT_EQ(interpolate_value("${NOT_SET:-fallback}").text, "fallback");
    EXPECT_EQ(interpolate_value("${NOT_SET:-}x").text, "x");
    EXPECT_EQ(interpolate_value("${HOST:-other}").text, "db.example");
    EXPECT_EQ(interpolate_value("${EMPTY:-other}").text, "other");
    EXPECT_EQ(interpolate_value("<${EMPTY}>").text, "<>");
}

TEST(Interpolate, LeavesOtherTextAlone) {
    EXPECT_EQ(interpolate_value("^[a-z]{2}$").text, "^[a-z]{2}$");
    EXPECT_EQ(interpolate_value("$HOST $${HOST} 5$").text, "$HOST ${HOST} 5$");
    EXPECT_EQ(interpolate_value("${NESTED}").text, "${HOST}") << "a value is not interpolated again";
}

TEST(Interpolate, AMissingVariableIsNamedWithItsPlace) {
    const Result result = interpolate_value("x${NOT_SET}y");
    ASSERT_EQ(result.problems.size(), 1U);
    const Problem& problem = result.problems[0];
    EXPECT_EQ(problem.line, 4);
    EXPECT_EQ(problem.column, 9);
    EXPECT_EQ(problem.field, "database.url");
    EXPECT_EQ(problem.message,
              "The environment variable NOT_SET is not set. Set it, or write ${NOT_SET:-default}.");
}

TEST(Interpolate, ToleratedMissingVariableMarksTheValue) {
    const Result result = interpolate_value("${NOT_SET}", MissingVariable::tolerate);
    EXPECT_TRUE(result.problems.empty());
    EXPECT_TRUE(result.unresolved);
}

TEST(Interpolate, RefusesMalformedReferences) {
    EXPECT_NE(interpolate_value("${HOST").problems.at(0).message.find("never closed"), std::string::npos);
    EXPECT_NE(interpolate_value("${}").problems.at(0).message.find("no name"), std::string::npos);
    EXPECT_NE(interpolate_value("${1A}").problems.at(0).message.find("'1A'"), std::string::npos);
    EXPECT_NE(interpolate_value("${HOST-x}").problems.at(0).message.find("'HOST-x'"), std::string::npos);
    EXPECT_NE(interpolate_value("${BROKEN}").problems.at(0).message.find("not valid UTF-8"),
              std::string::npos);
}

}  // namespace
}  // namespace tasker::yaml
