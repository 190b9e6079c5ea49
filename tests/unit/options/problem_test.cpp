#include "orchestrator/options/yaml/problem.hpp"

#include <gtest/gtest.h>

namespace tasker::yaml {
namespace {

TEST(Nearest, FindsTyposAndSwappedLetters) {
    const std::vector<std::string> names{"reserve_inventory", "process_payment", "ship_order", "ship"};
    EXPECT_EQ(nearest("proces_payment", names), "process_payment");
    EXPECT_EQ(nearest("hsip_order", names), "ship_order");
    EXPECT_EQ(nearest("Ship_Order", names), "ship_order");
    EXPECT_EQ(nearest("shop", names), "ship");
}

TEST(Nearest, StaysSilentWhenNothingIsNear) {
    EXPECT_EQ(nearest("charge_card", {"ship_order", "validate"}), std::nullopt);
    EXPECT_EQ(nearest("a", {"b"}), std::nullopt) << "one letter of one is a different word, not a typo";
    EXPECT_EQ(nearest("", {"a"}), std::nullopt);
    EXPECT_EQ(nearest("x", {}), std::nullopt);
}

TEST(Nearest, PrefersTheCloserCandidate) {
    EXPECT_EQ(nearest("timeout_second", {"timeout_minutes", "timeout_seconds"}), "timeout_seconds");
}

TEST(ProblemText, IsClickableAndNamesTheField) {
    EXPECT_EQ(to_string({"a.yaml", 3, 7, "steps[1].name", "Bad.", Severity::error}),
              "a.yaml:3:7: error: steps[1].name: Bad.");
    EXPECT_EQ(to_string({"a.yaml", 0, 0, "", "Gone.", Severity::warning}), "a.yaml: warning: Gone.");
}

TEST(ProblemList, SortsByPlaceAndCountsErrorsOnly) {
    ProblemList problems("f");
    problems.warning(9, 1, "", "late");
    EXPECT_FALSE(problems.has_errors());
    problems.error(2, 5, "", "right");
    problems.error(2, 1, "", "left");
    EXPECT_TRUE(problems.has_errors());
    const std::vector<Problem> sorted = problems.take_sorted();
    ASSERT_EQ(sorted.size(), 3U);
    EXPECT_EQ(sorted[0].message, "left");
    EXPECT_EQ(sorted[1].message, "right");
    EXPECT_EQ(sorted[2].message, "late");
    EXPECT_FALSE(problems.has_errors());
    EXPECT_EQ(problems.size(), 0U);
}

TEST(InQuotes, KeepsMessagesOnOneReadableLine) {
    EXPECT_EQ(in_quotes("a\nb\x01"), "'a\\x0ab\\x01'");
    const std::string cut = in_quotes(std::string(79, 'x') + "é" + std::string(50, 'y'));
    EXPECT_EQ(cut, "'" + std::string(79, 'x') + "…'") << "a character is never cut in half";
}

TEST(ProblemList, AMessageIsOneLineOfUtf8WhateverItQuotes) {
    ProblemList problems("f.yaml");
    problems.error(1, 1, std::string("a\0b", 3), "unknown escape character: \xC3");
    problems.warning(2, 1, "k\ney", std::string("é \x80\x81 é\x7F"));
    const std::vector<Problem> found = problems.take_sorted();
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0].field, "a\\x00b");
    EXPECT_EQ(found[0].message, "unknown escape character: \\xc3");
    EXPECT_EQ(found[1].field, "k\\x0aey");
    EXPECT_EQ(found[1].message, "é \\x80\\x81 é\\x7f");
}

}  // namespace
}  // namespace tasker::yaml
