#include "orchestrator/core/step_order.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace tasker::core {
namespace {

TEST(StepOrder, KeepsTheWrittenOrderWhereItMay) {
    EXPECT_EQ(order_steps({{}, {}, {}}).order, (std::vector<std::size_t>{0, 1, 2}));
    EXPECT_EQ(order_steps({{2}, {}, {}}).order, (std::vector<std::size_t>{1, 2, 0}));
    EXPECT_TRUE(order_steps({}).order.empty());
}

TEST(StepOrder, LongChainsAndWideFansNeedNoStack) {
    Parents chain(100'000);
    for (std::size_t step = 0; step + 1 < chain.size(); ++step) chain[step] = {step + 1};
    const StepOrder ordered = order_steps(chain);
    ASSERT_EQ(ordered.order.size(), chain.size());
    EXPECT_EQ(ordered.order.front(), chain.size() - 1);
    chain.back() = {0};
    const StepOrder circle = order_steps(chain);
    ASSERT_EQ(circle.cycles.size(), 1U);
    EXPECT_EQ(circle.cycles[0].size(), chain.size());
}

TEST(StepOrder, AStepBehindACycleIsNotPartOfIt) {
    // 3 → 2 → {0, 1}, 0 ↔ 1
    const StepOrder ordered = order_steps({{1}, {0}, {0, 1}, {2}});
    EXPECT_TRUE(ordered.order.empty());
    ASSERT_EQ(ordered.cycles.size(), 1U);
    EXPECT_EQ(ordered.cycles[0], (std::vector<std::size_t>{0, 1}));
}

// Random graphs: an order is given exactly when every edge points to an earlier step; otherwise each cycle
// shown really is one.
TEST(StepOrder, RandomGraphs) {
    const unsigned int seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    int cyclic = 0;
    for (int round = 0; round < 500; ++round) {
        const std::size_t count = 1 + random() % 12;
        Parents parents(count);
        for (std::size_t edge = random() % 14; edge > 0; --edge) {
            std::vector<std::size_t>& list = parents[random() % count];
            const std::size_t parent = random() % count;
            if (std::find(list.begin(), list.end(), parent) == list.end()) list.push_back(parent);
        }
        const StepOrder ordered = order_steps(parents);
        if (ordered.cycles.empty()) {
            ASSERT_EQ(ordered.order.size(), count);
            std::vector<std::size_t> position(count);
            for (std::size_t at = 0; at < count; ++at) position[ordered.order[at]] = at;
            for (std::size_t step = 0; step < count; ++step) {
                for (const std::size_t parent : parents[step]) ASSERT_LT(position[parent], position[step]);
            }
            continue;
        }
        ++cyclic;
        for (const std::vector<std::size_t>& cycle : ordered.cycles) {
            for (std::size_t at = 0; at < cycle.size(); ++at) {
                const std::vector<std::size_t>& list = parents[cycle[at]];
                ASSERT_NE(std::find(list.begin(), list.end(), cycle[(at + 1) % cycle.size()]), list.end());
            }
        }
    }
    EXPECT_GT(cyclic, 0);
    EXPECT_LT(cyclic, 500);
}

}  // namespace
}  // namespace tasker::core
