// Graphs are drawn as text: one line per step, `name` or `name <- parent parent`.
#include "orchestrator/core/dag.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace tasker::core {
namespace {

struct Drawing {
    std::vector<std::string> names;
    Parents parents;
};

Drawing draw(const std::string& text) {
    Drawing drawing;
    std::map<std::string, std::size_t> index;
    std::istringstream first(text);
    for (std::string line; std::getline(first, line);) {
        std::istringstream words(line);
        std::string name;
        if (!(words >> name)) continue;
        index[name] = drawing.names.size();
        drawing.names.push_back(name);
    }
    drawing.parents.resize(drawing.names.size());
    std::istringstream second(text);
    for (std::string line; std::getline(second, line);) {
        std::istringstream words(line);
        std::string name, arrow;
        if (!(words >> name >> arrow)) continue;
        for (std::string parent; words >> parent;) drawing.parents[index[name]].push_back(index.at(parent));
    }
    return drawing;
}

std::string order_of(const std::string& text) {
    const auto drawing = draw(text);
    const auto order = topological_order(drawing.parents);
    if (!order) return "a cycle";
    std::string result;
    for (const auto step : *order) result += (result.empty() ? "" : " ") + drawing.names[step];
    return result;
}

std::string cycle_of(const std::string& text) {
    const auto drawing = draw(text);
    const auto order = topological_order(drawing.parents);
    if (order) return "no cycle";
    std::string result;
    for (const auto step : order.error().steps)
        result += (result.empty() ? "" : " -> ") + drawing.names[step];
    return result;
}

bool same_ring(std::string a, const std::string& b) {
    // "x -> y -> z" equals "y -> z -> x": a cycle has no first step.
    if (a.size() != b.size()) return false;
    return (a + " -> " + a).find(b) != std::string::npos;
}

TEST(TopologicalOrder, OfADiamondIsParentsFirstAndTiesByPlace) {
    EXPECT_EQ(order_of(R"(
        end   <- left right
        right <- start
        left  <- start
        start
    )"),
              "start right left end");
}

TEST(TopologicalOrder, OfNothingIsNothing) {
    EXPECT_EQ(topological_order({})->size(), 0U);
}

TEST(TopologicalOrder, KeepsTheWrittenOrderOfIndependentSteps) {
    EXPECT_EQ(order_of("c\na\nb\n"), "c a b");
}

TEST(TopologicalOrder, CountsAParentNamedTwiceOnce) {
    EXPECT_EQ(order_of("b <- a a\na\n"), "a b");
}

TEST(Cycle, IsReportedInWalkingOrderFromParentToChild) {
    const auto cycle = cycle_of(R"(
        root
        pack    <- root ship
        label   <- pack
        ship    <- label
        notify  <- ship
    )");
    EXPECT_TRUE(same_ring(cycle, "pack -> label -> ship")) << cycle;
}

TEST(Cycle, OfOneStepThatDependsOnItself) {
    EXPECT_EQ(cycle_of("a\nb <- a b\n"), "b");
}

TEST(Cycle, IsFoundFromAStepThatOnlyStandsBehindIt) {
    // `late` comes first and is no part of the ring.
    const auto cycle = cycle_of("late <- y\nx <- y\ny <- x\n");
    EXPECT_TRUE(same_ring(cycle, "x -> y")) << cycle;
}

TEST(Levels, AreTheLongestDistanceFromARoot) {
    const auto drawing = draw(R"(
        a
        b <- a
        c <- b
        d <- a c
        e
        f <- e d
    )");
    EXPECT_EQ(dependency_levels(drawing.parents), (std::vector<std::size_t>{0, 1, 2, 3, 0, 4}));
}

TEST(TopologicalOrder, OfTenThousandStepsHoldsForChainFanAndRandomGraph) {
    constexpr std::size_t kSteps = 10'000;
    Parents chain(kSteps), fan(kSteps), random(kSteps);
    for (std::size_t i = 1; i < kSteps; ++i) chain[i] = {i - 1};
    for (std::size_t i = 1; i + 1 < kSteps; ++i) {
        fan[i] = {0};
        fan[kSteps - 1].push_back(i);
    }
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 generator(seed);
    // Parents among the steps behind: the order must turn everything round.
    for (std::size_t i = 0; i + 1 < kSteps; ++i) {
        for (int k = 0; k < 3; ++k) {
            random[i].push_back(std::uniform_int_distribution<std::size_t>(i + 1, kSteps - 1)(generator));
        }
    }
    for (const auto* graph : {&chain, &fan, &random}) {
        const auto order = topological_order(*graph);
        ASSERT_TRUE(order.has_value());
        std::vector<std::size_t> place(kSteps, kSteps);
        for (std::size_t i = 0; i < order->size(); ++i) place[(*order)[i]] = i;
        ASSERT_EQ(order->size(), kSteps);
        for (std::size_t step = 0; step < kSteps; ++step) {
            ASSERT_LT(place[step], kSteps) << "step " << step << " is missing";
            for (const auto parent : (*graph)[step]) ASSERT_LT(place[parent], place[step]);
        }
    }
    EXPECT_EQ(dependency_levels(chain).back(), kSteps - 1);
    EXPECT_EQ(dependency_levels(fan).back(), 2U);
    chain[0] = {kSteps - 1};
    const auto ring = topological_order(chain);
    ASSERT_FALSE(ring.has_value());
    EXPECT_EQ(ring.error().steps.size(), kSteps);
}

}  // namespace
}  // namespace tasker::core
