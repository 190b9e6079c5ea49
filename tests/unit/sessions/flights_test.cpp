#include <gtest/gtest.h>

#include "orchestrator/core/session_flights.hpp"

namespace tasker::core {
namespace {

TakenBatch batch(std::string uuid, std::string session, std::vector<std::int64_t> steps) {
    return {std::move(uuid), std::move(session), "H", std::move(steps)};
}

TEST(Patterns, SuffixWildcardsAndEquality) {
    EXPECT_TRUE(matches_pattern("*", ""));
    EXPECT_TRUE(matches_pattern("*", "anything"));
    EXPECT_TRUE(matches_pattern("Order::*", "Order::Pay"));
    EXPECT_TRUE(matches_pattern("Order::Pay", "Order::Pay"));
    EXPECT_FALSE(matches_pattern("Order::Pay", "Order::PayLater"));
    EXPECT_FALSE(matches_pattern("Order::*", "Orders::Pay"));
    EXPECT_FALSE(matches_pattern("*Pay", "OrderPay"));  // a star counts at the end only
    EXPECT_FALSE(matches_pattern("", "x"));
}

TEST(CreditLimit, IsCapacityTimesPrefetchWithoutOverflow) {
    const auto limit = [](std::int32_t capacity, std::int32_t prefetch) {
        SessionSpec spec;
        spec.capacity = capacity;
        spec.prefetch = prefetch;
        return credit_limit(spec);
    };
    EXPECT_EQ(limit(10, 2), 20);
    EXPECT_EQ(limit(10, 0), 10);
    EXPECT_EQ(limit(-1, 2), 0);
    EXPECT_EQ(limit(2'000'000'000, 1000), 2'147'483'647);
}

TEST(Flights, AReportFreesItsStepOnce) {
    FlightTable table;
    EXPECT_EQ(table.add(batch("b1", "s1", {3, 1, 2}), true), 3);
    const Freed first = table.reported("b1", 1, false);
    EXPECT_EQ(first.credit, 1);
    EXPECT_EQ(*first.session, "s1");
    EXPECT_EQ(table.reported("b1", 1, false).credit, 0);
    EXPECT_EQ(table.reported("b1", 99, false).credit, 0);
    EXPECT_EQ(table.reported("b2", 1, false).session, nullptr);
    EXPECT_EQ(table.unreported("b1"), (std::vector<std::int64_t>{2, 3}));
    EXPECT_EQ(table.count_held("s1"), 2);
}

TEST(Flights, AddingABatchTwiceTakesNothing) {
    FlightTable table;
    EXPECT_EQ(table.add(batch("b1", "s1", {1, 1, 2}), true), 2);
    EXPECT_EQ(table.add(batch("b1", "s1", {1, 2, 3}), true), 0);
    EXPECT_EQ(table.count_held("s1"), 2);
}

TEST(Flights, TheLossOfASessionFreesOnlyItsOwn) {
    FlightTable table;
    table.add(batch("b1", "s1", {1, 2}), true);
    table.add(batch("b2", "s2", {3}), true);
    EXPECT_EQ(table.release_session("s1"), 2);
    EXPECT_EQ(table.release_session("s1"), 0);
    EXPECT_EQ(table.count_held("s2"), 1);
    EXPECT_EQ(table.reported("b1", 1, false).credit, 0);
    EXPECT_EQ(table.unreported("b1"), (std::vector<std::int64_t>{2}));
}

TEST(Flights, AReturnedSessionTakesAgainWhatItHoldsOrRuns) {
    FlightTable table;
    table.add(batch("b1", "s1", {1, 2, 3, 4}), true);
    table.add(batch("b2", "s2", {5}), true);
    table.reported("b1", 4, false);
    table.release_session("s1");
    // 3 is merely unacked, 4 reported, b2 another session's, b9 unknown.
    const Inventory inventory{{{"b1", 1}, {"b1", 4}, {"b9", 9}}, {{"b1", 2}, {"b2", 5}}, {{"b1", 3}}};
    EXPECT_EQ(table.retake("s1", inventory), 2);
    EXPECT_EQ(table.retake("s1", inventory), 0);
    EXPECT_EQ(table.count_held("s1"), 2);
}

TEST(Flights, AHandlerThatDidNotStopKeepsItsCreditUntilItIsNoLongerListed) {
    FlightTable table;
    table.add(batch("b1", "s1", {1, 2}), true);
    EXPECT_EQ(table.reported("b1", 1, true).credit, 0);
    EXPECT_EQ(table.release_unlisted("s1", {{}, {{"b1", 1}}, {}}), 0);
    EXPECT_EQ(table.release_unlisted("s2", {}), 0);
    EXPECT_EQ(table.release_unlisted("s1", {}), 1);  // step 2 was never reported: not its business
    EXPECT_EQ(table.count_held("s1"), 1);
}

TEST(Flights, ForgettingABatchKeepsWhatStillRuns) {
    FlightTable table;
    table.add(batch("b1", "s1", {1, 2}), true);
    table.reported("b1", 1, true);
    EXPECT_EQ(table.forget("b1"), 1);
    EXPECT_EQ(table.count_held("s1"), 1);
    EXPECT_EQ(table.release_unlisted("s1", {}), 1);
    EXPECT_EQ(table.size(), 0U);
    table.add(batch("b2", "s1", {1, 2}), true);
    EXPECT_EQ(table.forget("b2"), 2);
    EXPECT_EQ(table.forget("b2"), 0);
    EXPECT_EQ(table.size(), 0U);
}

TEST(Flights, ALostSessionsRunningHandlersAreForgottenWithTheirBatch) {
    FlightTable table;
    table.add(batch("b1", "s1", {1}), true);
    table.reported("b1", 1, true);
    table.forget("b1");
    EXPECT_EQ(table.release_session("s1"), 1);
    EXPECT_EQ(table.size(), 0U);
    EXPECT_EQ(table.count_all_held(), 0);
}

TEST(Flights, RunningIsNotedOncePerStep) {
    FlightTable table;
    table.add(batch("b1", "s1", {1, 2}), true);
    EXPECT_TRUE(table.note_running("b1", 1));
    EXPECT_FALSE(table.note_running("b1", 1));
    table.reported("b1", 2, false);
    EXPECT_FALSE(table.note_running("b1", 2));
    EXPECT_FALSE(table.note_running("b2", 1));
}

}  // namespace
}  // namespace tasker::core
