// Who gets how much of a session's free credit, case by case.
#include <gtest/gtest.h>

#include "orchestrator/core/sessions/shares.hpp"
#include "tests/unit/sessions/registry_fixture.hpp"

namespace tasker::core {
namespace {

class LaneSharesTest : public ::testing::Test {
  protected:
    void lane(int number, std::int32_t used, bool hungry, bool awaited = false) {
        shares_[number] = {used, 0, hungry, awaited};
    }
    std::vector<std::int32_t> offers(std::int32_t free, int lanes, std::uint32_t away = 0) {
        std::vector<std::int32_t> all;
        for (int number = 0; number < lanes; ++number) all.push_back(shares_.offer(number, free, away));
        return all;
    }
    using Offers = std::vector<std::int32_t>;
    LaneShares shares_;
};

TEST_F(LaneSharesTest, WhoeverIsAloneGetsEverything) {
    EXPECT_EQ(offers(10, 2), (Offers{10, 10})) << "nobody has said anything yet";
    lane(0, 0, true);
    EXPECT_EQ(offers(10, 2)[0], 10);
    EXPECT_EQ(shares_.offer(0, 0, 0), 0);
}

TEST_F(LaneSharesTest, HungryLanesAreBroughtToTheSameLevel) {
    lane(0, 8, true);
    lane(1, 0, true);
    EXPECT_EQ(offers(4, 2), (Offers{0, 4})) << "the one that has least comes first";
    EXPECT_EQ(offers(12, 2), (Offers{2, 10}));
    EXPECT_EQ(offers(13, 2), (Offers{3, 10})) << "the odd one goes to the first in line";
    shares_.record_taken(0);
    EXPECT_EQ(offers(13, 2), (Offers{2, 11}));
}

TEST_F(LaneSharesTest, AllOfTheFreeCreditIsOfferedToSomebodyThatWaits) {
    lane(0, 8, true);
    lane(1, 0, true);
    lane(2, 0, true);
    lane(3, 5, false);
    for (std::int32_t free = 1; free < 30; ++free) {
        const auto all = offers(free, 3);
        EXPECT_EQ(all[0] + all[1] + all[2], free);
    }
}

TEST_F(LaneSharesTest, ALaneThatIsBusyHoldsUpNobodyThatWaits) {
    lane(0, 1, false);
    lane(1, 0, true);
    EXPECT_EQ(offers(9, 2), (Offers{4, 9})) << "and keeps nothing from the hungry one";
    lane(1, 0, false);
    EXPECT_EQ(offers(9, 2), (Offers{9, 9 - 4}))
        << "lane 1 knows of lane 0, which is in the middle of something";
}

TEST_F(LaneSharesTest, WhatALanesOwnReportsHaveFreedIsKeptForIt) {
    lane(0, 4, false, true);
    lane(1, 10, true);
    EXPECT_EQ(offers(6, 2), (Offers{6, 0}));
}

TEST_F(LaneSharesTest, OneUnitGoesRoundAmongThoseThatWait) {
    for (int number : {0, 1, 2}) lane(number, 0, true);
    EXPECT_EQ(offers(1, 3), (Offers{1, 0, 0}));
    shares_.record_taken(0);
    EXPECT_EQ(offers(1, 3), (Offers{0, 1, 0}));
    shares_.record_taken(1);
    EXPECT_EQ(offers(1, 3), (Offers{0, 0, 1}));
    shares_.record_taken(2);
    EXPECT_EQ(offers(1, 3), (Offers{1, 0, 0}));
    lane(0, 0, false);
    EXPECT_EQ(offers(1, 3), (Offers{0, 1, 0})) << "who does not wait is last";
}

TEST_F(LaneSharesTest, ALaneThatIsAwayContendsForNothing) {
    lane(0, 0, true, true);
    lane(1, 0, true);
    EXPECT_EQ(shares_.offer(1, 10, 0b01), 10);
    EXPECT_EQ(shares_.offer(1, 1, 0b01), 1);
}

TEST_F(LaneSharesTest, OnlyWhoWaitsAndHasNothingOnItsWayIsWoken) {
    lane(0, 0, true);
    EXPECT_TRUE(shares_.must_wake(0, 1, 0));
    EXPECT_FALSE(shares_.must_wake(0, 0, 0));
    lane(0, 0, true, true);
    EXPECT_FALSE(shares_.must_wake(0, 1, 0)) << "its report wakes it";
    lane(0, 0, false);
    EXPECT_FALSE(shares_.must_wake(0, 1, 0));
}

TEST(LaneOfBatch, StandsInTheUuid) {
    EXPECT_EQ(lane_of_batch("0191b5a0-7c1e-7001-8100-00000000002a", 2), 1);
    EXPECT_EQ(lane_of_batch("0191b5a0-7c1e-7001-8700-00000000002a", 4), 3) << "of a time with eight lanes";
    EXPECT_EQ(lane_of_batch("0191b5a0-7c1e-7001-8f00-00000000002a", 8), 7);
    EXPECT_EQ(lane_of_batch("0191b5a0-7c1e-7001-8100-00000000002a", 1), 0);
    EXPECT_EQ(lane_of_batch("0191b5a0-7c1e-7001-8x00-00000000002a", 2), 0) << "no uuid of ours";
    EXPECT_EQ(lane_of_batch("", 2), 0);
}

// What one lane leaves another one hears of, once, and only when it waits for it.
TEST_F(RegistryTest, ALaneThatWaitsIsWokenByWhatAnotherLeaves) {
    SessionRegistry registry{settings(2)};
    registry.on_hello(spec(kA, 1, 1), now_);
    registry.on_subscribed(kA, now_);
    registry.on_ready(kA, registry.advance(now_, now_).front().nonce, {}, now_);
    auto first = registry.reserve(now_, 0);
    auto second = registry.reserve(now_, 1);
    ASSERT_EQ(second.size(), 1U) << "also of a session that is used up, so that the lane can say it waits";
    EXPECT_EQ(second[0].free, 0);
    second[0].wanted = true;
    EXPECT_FALSE(registry.settle(second, {}, 1)) << "nothing is left for it";
    EXPECT_EQ(registry.take_lanes_to_wake(), 0U);
    EXPECT_FALSE(registry.settle(first, {}, 0));
    EXPECT_EQ(registry.take_lanes_to_wake(), 0b10U);
    EXPECT_EQ(registry.take_lanes_to_wake(), 0U) << "once";
    // A lane whose own settling finds credit is not woken, it is told so.
    second = registry.reserve(now_, 1);
    EXPECT_EQ(second[0].free, 1);
    second[0].wanted = true;
    EXPECT_TRUE(registry.settle(second, {}, 1));
    // An absent lane is not woken, and when it comes back it looks for itself.
    registry.set_away(1, true);
    EXPECT_EQ(registry.take_lanes_to_wake(), 0U);
    // Taken by lane 0, reported, and waited for by lane 1: its turn now.
    first = registry.reserve(now_, 0);
    registry.set_away(1, false);
    registry.settle(first, {{"b1", kA, "Echo", {1}}}, 0);
    EXPECT_EQ(registry.take_lanes_to_wake(), 0U);
    registry.give_back("b1", 1);
    EXPECT_EQ(registry.take_lanes_to_wake(), 0b10U);
    EXPECT_EQ(sanity_check(registry).value_or("sane"), "sane");
}

// A lane may be slow; what it holds on to must neither be touched in vain nor count for anybody.
TEST_F(RegistryTest, AnOfferMayOutliveItsSession) {
    SessionRegistry registry{settings(2)};
    const auto greet = [&] {
        registry.on_hello(spec(kA, 1, 1), now_);
        registry.on_subscribed(kA, now_);
        registry.on_ready(kA, registry.advance(now_, now_).front().nonce, {}, now_);
    };
    greet();
    registry.settle(registry.reserve(now_, 0), {{"b1", kA, "Echo", {1}}}, 0);
    auto late = registry.reserve(now_, 1);
    ASSERT_EQ(late.size(), 1U);
    registry.on_goodbye(kA, now_);
    pass(600'000);
    registry.advance(now_, now_);
    ASSERT_FALSE(registry.state_of(kA).has_value()) << "nothing of it is reserved, so it is forgotten";
    EXPECT_EQ(late[0].session, kA);
    late[0].wanted = true;
    EXPECT_FALSE(registry.settle(late, {}, 1));
    EXPECT_EQ(sanity_check(registry).value_or("sane"), "sane");
    // The same name again is another session: nobody waits for it.
    greet();
    EXPECT_EQ(registry.take_lanes_to_wake(), 0U);
    EXPECT_EQ(registry.reserve(now_, 0).size(), 1U);
}

}  // namespace
}  // namespace tasker::core
