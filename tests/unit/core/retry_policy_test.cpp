#include "orchestrator/core/retry_policy.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tasker::core {
namespace {

constexpr double kMiddle = 0.5;  // no variation

TEST(Backoff, GrowsByTheMultiplierAndStopsAtTheCap) {
    const RetryBackoff policy{1.0, 2.0, 10.0, 0.1};
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 1, std::nullopt, kMiddle), 1.0);
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 2, std::nullopt, kMiddle), 2.0);
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 4, std::nullopt, kMiddle), 8.0);
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 5, std::nullopt, kMiddle), 10.0);
}

TEST(Backoff, WorksInFractionsOfASecond) {
    const RetryBackoff policy{0.05, 1.5, 0.1, 0.0};
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 1, std::nullopt, kMiddle), 0.05);
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 2, std::nullopt, kMiddle), 0.075);
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 3, std::nullopt, kMiddle), 0.1);
}

TEST(Backoff, TakesWhatTheWorkerAskedForFirstWithUpToATenthOnTop) {
    const RetryBackoff policy{1.0, 2.0, 30.0, 0.5};
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 3, 7.25, 0.0), 7.25);
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 3, 7.25, 1.0), 7.25 * 1.1);
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 3, 0.0, 1.0), 0.0);
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 3, 3600, 0.0), 3600)
        << "max_seconds is the template's own backoff";
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 3, 1e9, 0.0), 86'400);
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 3, -5.0, kMiddle), 0.0);
    // What is no number is no request.
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 2, std::nan(""), kMiddle), 2.0);
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 2, std::numeric_limits<double>::infinity(), kMiddle), 2.0);
}

TEST(Backoff, SaysWhatAWishWasCutTo) {
    const RetryBackoff policy{1.0, 2.0, 30.0, 0.5, 60.0};
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 1, 61.0, 0.0), 60.0);
    EXPECT_EQ(retry_after_cut(policy, 61.0), 60.0);
    EXPECT_EQ(retry_after_cut(policy, 60.0), std::nullopt);
    EXPECT_EQ(retry_after_cut(policy, std::nullopt), std::nullopt);
    EXPECT_EQ(retry_after_cut(policy, std::nan("")), std::nullopt);
}

TEST(Backoff, JitterStaysWithinItsShareAndUnderTheCap) {
    const RetryBackoff policy{10.0, 2.0, 21.0, 0.2};
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 1, std::nullopt, 0.0), 8.0);
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 1, std::nullopt, 1.0), 12.0);
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 2, std::nullopt, 1.0), 21.0);
    EXPECT_DOUBLE_EQ(backoff_seconds(policy, 2, std::nullopt, 0.0), 16.0);
}

TEST(Backoff, IsAFiniteNumberForEveryAttemptHoweverHigh) {
    for (const double base : {0.0, 0.001, 1.0, 1e300}) {
        for (const double multiplier : {1.0, 2.0, 100.0}) {
            for (const double jitter : {0.0, 0.5, 1.0}) {
                for (const double random : {0.0, 0.5, 1.0}) {
                    for (const int attempt : {-1, 0, 1, 60, 1100, std::numeric_limits<int>::max()}) {
                        const double seconds =
                            backoff_seconds({base, multiplier, 300.0, jitter}, attempt, std::nullopt, random);
                        ASSERT_TRUE(std::isfinite(seconds) && seconds >= 0.0 && seconds <= 300.0)
                            << seconds << " for base " << base << ", multiplier " << multiplier << ", jitter "
                            << jitter << ", random " << random << ", attempt " << attempt;
                    }
                }
            }
        }
    }
}

TEST(Snooze, LastsAsLongAsWasAskedButAYearAtMost) {
    EXPECT_DOUBLE_EQ(snooze_seconds(0), 0);
    EXPECT_DOUBLE_EQ(snooze_seconds(2.5), 2.5);
    EXPECT_DOUBLE_EQ(snooze_seconds(31'536'000), 31'536'000);
    EXPECT_DOUBLE_EQ(snooze_seconds(31'536'001), 31'536'000);
    EXPECT_DOUBLE_EQ(snooze_seconds(std::numeric_limits<double>::max()), 31'536'000);
    EXPECT_DOUBLE_EQ(snooze_seconds(std::numeric_limits<double>::infinity()), 31'536'000);
    EXPECT_DOUBLE_EQ(snooze_seconds(-1), 0);
    EXPECT_DOUBLE_EQ(snooze_seconds(std::numeric_limits<double>::quiet_NaN()), 0);
}

TEST(Backoff, OfAnAttemptBelowTheFirstIsThatOfTheFirst) {
    EXPECT_DOUBLE_EQ(backoff_seconds({4.0, 2.0, 300.0, 0.0}, 0, std::nullopt, kMiddle), 4.0);
}

}  // namespace
}  // namespace tasker::core
