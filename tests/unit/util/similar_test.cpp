#include "orchestrator/util/similar.hpp"

#include <gtest/gtest.h>

namespace tasker::util {
namespace {

TEST(Similar, CountsEdits) {
    EXPECT_EQ(edit_distance("", ""), 0U);
    EXPECT_EQ(edit_distance("show", "show"), 0U);
    EXPECT_EQ(edit_distance("shwo", "show"), 1U) << "neighbours swapped";
    EXPECT_EQ(edit_distance("", "abc"), 3U);
    EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
}

TEST(Similar, FindsTheNearest) {
    const std::vector<std::string> words = {"list", "show", "explain", "cancel"};
    EXPECT_EQ(most_similar("shwo", words), "show");
    EXPECT_EQ(most_similar("SHOW", words), "show");
    EXPECT_EQ(most_similar("expl", words), "explain") << "a beginning";
    EXPECT_EQ(most_similar("lst", words), "list");
}

TEST(Similar, FindsNothingWhereNothingIsNear) {
    const std::vector<std::string> words = {"list", "show", "db"};
    EXPECT_EQ(most_similar("discard", words), std::nullopt);
    EXPECT_EQ(most_similar("", words), std::nullopt);
    EXPECT_EQ(most_similar("x", words), std::nullopt);
    EXPECT_EQ(most_similar("xy", words), std::nullopt) << "two letters of two";
    EXPECT_EQ(most_similar(std::string(1'000'000, 'a'), words), std::nullopt);
}

}  // namespace
}  // namespace tasker::util
