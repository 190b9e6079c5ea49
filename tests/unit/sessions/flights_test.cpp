#include "orchestrator/core/sessions/flights.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace tasker::core {
namespace {

TakenBatch batch(std::string uuid, std::string session, std::vector<std::int64_t> steps) {
    return {std::move(uuid), std::move(session), "H", std::move(steps)};
}

std::int32_t held(const FlightTable& table, std::string_view session) {
    const auto by_lane = table.count_held_by_lane(session);
    return std::accumulate(by_lane.begin(), by_lane.end(), 0);
}

TEST(Patterns, SuffixWildcardsAndEquality) {
    EXPECT_TRUE(matches_any({"*"}, ""));
    EXPECT_TRUE(matches_any({"*"}, "anything"));
    EXPECT_TRUE(matches_any({"Order::*"}, "Order::Pay"));
    EXPECT_TRUE(matches_any({"Order::Pay"}, "Order::Pay"));
    EXPECT_FALSE(matches_any({"Order::Pay"}, "Order::PayLater"));
    EXPECT_FALSE(matches_any({"Order::*"}, "Orders::Pay"));
    EXPECT_FALSE(matches_any({"*Pay"}, "OrderPay"));  // a star counts at the end only
    EXPECT_FALSE(matches_any({""}, "x"));
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
    EXPECT_EQ(held(table, "s1"), 2);
}

TEST(Flights, AStepWhoseReportDidNotCountIsExpectedAgain) {
    FlightTable table;
    table.add(batch("b1", "s1", {1, 2}), true);
    table.reported("b1", 1, false);
    EXPECT_FALSE(table.expects("b1", 1));
    table.reopen("b1", 1);
    table.reopen("b1", 99);
    table.reopen("b9", 1);
    EXPECT_TRUE(table.expects("b1", 1));
    EXPECT_EQ(held(table, "s1"), 1) << "its credit stays free";
    EXPECT_EQ(table.reported("b1", 1, false).credit, 0);
    EXPECT_FALSE(table.expects("b1", 1));
    table.reported("b1", 2, true);
    table.reopen("b1", 2);
    EXPECT_FALSE(table.expects("b1", 2)) << "it still runs";
}

TEST(Flights, AddingABatchTwiceTakesNothing) {
    FlightTable table;
    EXPECT_EQ(table.add(batch("b1", "s1", {1, 1, 2}), true), 2);
    EXPECT_EQ(table.add(batch("b1", "s1", {1, 2, 3}), true), 0);
    EXPECT_EQ(held(table, "s1"), 2);
}

TEST(Flights, TheLossOfASessionFreesOnlyItsOwn) {
    FlightTable table;
    table.add(batch("b1", "s1", {1, 2}), true);
    table.add(batch("b2", "s2", {3}), true);
    EXPECT_EQ(table.release_session("s1"), 2);
    EXPECT_EQ(table.release_session("s1"), 0);
    EXPECT_EQ(held(table, "s2"), 1);
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
    EXPECT_EQ(held(table, "s1"), 2);
}

TEST(Flights, AHandlerThatDidNotStopKeepsItsCreditUntilItIsNoLongerListed) {
    FlightTable table;
    table.add(batch("b1", "s1", {1, 2}), true);
    EXPECT_EQ(table.reported("b1", 1, true).credit, 0);
    EXPECT_EQ(table.release_unlisted("s1", {{}, {{"b1", 1}}, {}}), 0);
    EXPECT_EQ(table.release_unlisted("s2", {}), 0);
    EXPECT_EQ(table.release_unlisted("s1", {}), 1);  // step 2 was never reported: not its business
    EXPECT_EQ(held(table, "s1"), 1);
}

TEST(Flights, ForgettingABatchKeepsWhatStillRuns) {
    FlightTable table;
    table.add(batch("b1", "s1", {1, 2}), true);
    table.reported("b1", 1, true);
    EXPECT_EQ(table.forget("b1"), 1);
    EXPECT_EQ(held(table, "s1"), 1);
    EXPECT_EQ(table.release_unlisted("s1", {}), 1);
    EXPECT_TRUE(table.sessions().empty());
    table.add(batch("b2", "s1", {1, 2}), true);
    EXPECT_EQ(table.forget("b2"), 2);
    EXPECT_EQ(table.forget("b2"), 0);
    EXPECT_TRUE(table.sessions().empty());
}

TEST(Flights, ALostSessionsRunningHandlersAreForgottenWithTheirBatch) {
    FlightTable table;
    table.add(batch("b1", "s1", {1}), true);
    table.reported("b1", 1, true);
    table.forget("b1");
    EXPECT_EQ(table.release_session("s1"), 1);
    EXPECT_TRUE(table.sessions().empty());
    EXPECT_EQ(held(table, "s1"), 0);
}

TEST(Flights, RunningIsRecordedOncePerStep) {
    FlightTable table;
    table.add(batch("b1", "s1", {1, 2}), true);
    EXPECT_TRUE(table.record_running("b1", 1));
    EXPECT_FALSE(table.record_running("b1", 1));
    table.reported("b1", 2, false);
    EXPECT_FALSE(table.record_running("b1", 2));
    EXPECT_FALSE(table.record_running("b2", 1));
}

}  // namespace
}  // namespace tasker::core
