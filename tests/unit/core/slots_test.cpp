#include "orchestrator/core/slots.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace tasker::core {
namespace {

using Indexes = std::vector<std::size_t>;

TEST(SlotOrder, WithoutCreditIsEmpty) {
    EXPECT_TRUE(slot_order({}, 10, 100).empty());
    EXPECT_TRUE(slot_order({{0, 3, 4}, {-2, 0, 1}}, 10, 100).empty());
}

TEST(SlotOrder, FillsTheLeastLoadedFirst) {
    // Loads 3/4, 0/4, 1/4; one slot each, because the run is bounded by the credit.
    EXPECT_EQ(slot_order({{1, 3, 4}, {1, 0, 4}, {1, 1, 4}}, 10, 100), (Indexes{1, 2, 0}));
}

TEST(SlotOrder, LoadIsRelativeToCapacity) {
    // Two of ten is less than one of two.
    EXPECT_EQ(slot_order({{1, 1, 2}, {1, 2, 10}}, 10, 100), (Indexes{1, 0}));
}

TEST(SlotOrder, GivesRunsOfHalfTheCapacitySoThatBatchesStayWhole) {
    EXPECT_EQ(slot_order({{8, 0, 8}, {8, 0, 8}}, 10, 100),
              (Indexes{0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1}));
    EXPECT_EQ(slot_order({{8, 0, 8}, {8, 0, 8}}, 3, 100),
              (Indexes{0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1}));
}

TEST(SlotOrder, StopsAtTheGreatestNumberOfSlots) {
    EXPECT_EQ(slot_order({{8, 0, 8}, {8, 0, 8}}, 10, 6), (Indexes{0, 0, 0, 0, 1, 1}));
    EXPECT_TRUE(slot_order({{8, 0, 8}}, 10, 0).empty());
}

TEST(SlotOrder, GivesASessionOfCapacityOneSingleSlots) {
    EXPECT_EQ(slot_order({{2, 0, 1}, {2, 0, 1}}, 10, 100), (Indexes{0, 1, 0, 1}));
}

TEST(SlotOrder, HoldsForTheLargestNumbersThereAre) {
    constexpr int kMost = std::numeric_limits<int>::max();
    EXPECT_EQ(slot_order({{kMost, 0, kMost}}, 10, 12), Indexes(12, 0));
    EXPECT_EQ(slot_order({{kMost, 0, kMost}, {1, 0, 1}}, kMost, 3), (Indexes{0, 0, 0}));
}

TEST(SlotOrder, NeverExceedsAnyonesCreditAndLeavesNoneUnused) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 generator(seed);
    const auto pick = [&](int low, int high) {
        return std::uniform_int_distribution<int>(low, high)(generator);
    };
    for (int round = 0; round < 2000; ++round) {
        std::vector<SessionCredit> sessions(static_cast<std::size_t>(pick(0, 12)));
        for (auto& session : sessions) session = {pick(-1, 20), pick(0, 30), pick(1, 16)};
        const int run_max = pick(1, 12);
        const auto slots_max = static_cast<std::size_t>(pick(0, 120));
        const auto slots = slot_order(sessions, run_max, slots_max);
        std::vector<int> given(sessions.size(), 0);
        std::size_t run = 0;
        for (std::size_t i = 0; i < slots.size(); ++i) {
            ASSERT_LT(slots[i], sessions.size());
            ++given[slots[i]];
            run = i > 0 && slots[i] == slots[i - 1] ? run + 1 : 1;
        }
        std::size_t free = 0;
        for (std::size_t i = 0; i < sessions.size(); ++i) {
            ASSERT_LE(given[i], std::max(sessions[i].free, 0)) << "session " << i << " of round " << round;
            free += static_cast<std::size_t>(std::max(sessions[i].free, 0));
        }
        ASSERT_EQ(slots.size(), std::min(free, slots_max)) << "round " << round;
        ASSERT_EQ(slots, slot_order(sessions, run_max, slots_max)) << "not deterministic";
    }
}

TEST(SlotOrder, ServesEverySessionBeforeOneGetsMuchAhead) {
    // Equal sessions: after any number of slots nobody is more than one run ahead.
    const std::vector<SessionCredit> sessions(5, SessionCredit{20, 0, 10});
    const auto slots = slot_order(sessions, 10, 100);
    std::vector<int> given(sessions.size(), 0);
    for (const auto slot : slots) {
        ++given[slot];
        const auto [least, most] = std::minmax_element(given.begin(), given.end());
        ASSERT_LE(*most - *least, 5);
    }
}

}  // namespace
}  // namespace tasker::core
