#include "orchestrator/engine/turns/claim_plan.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/engine/fakes.hpp"

namespace tasker::engine {
namespace {

class Plan : public ::testing::Test {
  protected:
    Plan() { keys.replace({{1, "shop", "A"}, {2, "shop", "B"}, {3, "bank", "A"}}); }

    static core::CreditOffer offer(std::string_view session, int free, int in_flight = 0, int capacity = 4) {
        return {session, free,   in_flight, free + in_flight, capacity, session.empty() ? 1 : 0,
                false,   nullptr};
    }
    // Per profile: "A B(scan) | s1 s1 s2".
    static std::map<int, std::string> profiles(const ports::TurnInput& input) {
        std::map<int, std::string> text;
        for (const auto& key : input.keys) {
            text[key.profile] += std::to_string(key.handler_key) + (key.scan ? "* " : " ");
        }
        for (auto& [profile, line] : text) line += "|";
        for (const auto& slot : input.slots) {
            const auto& session = input.sessions.at(static_cast<std::size_t>(slot.session));
            for (int i = 0; i < slot.length; ++i)
                text[slot.profile] += " " + (session.empty() ? "plain" : session);
        }
        return text;
    }

    HandlerKeys keys;
    FakeCredit credit;
    ClaimPlanner planner;
    ports::TurnInput input;
};

TEST_F(Plan, SessionsThatServeTheSameKeysShareAProfile) {
    credit.serves_keys = {{"s1", {"A"}}, {"s2", {"B"}}, {"s3", {"A"}}};
    keys.mark_waiting(1);
    EXPECT_TRUE(planner.plan({offer("s1", 1, 2), offer("s2", 1), offer("s3", 2)}, credit, keys, input));
    const auto found = profiles(input);
    ASSERT_EQ(found.size(), 2U);
    std::set<std::string> lines;
    for (const auto& [profile, line] : found) lines.insert(line);
    // The session with less load comes first.
    EXPECT_EQ(lines, (std::set<std::string>{"1* 3 | s3 s3 s1", "2 | s2"}));
}

TEST_F(Plan, NothingWaitingIsSaidSoButChildrenMayStillBeClaimed) {
    credit.serves_keys = {{"s1", {"A"}}};
    EXPECT_FALSE(planner.plan({offer("s1", 1)}, credit, keys, input));
    EXPECT_EQ(profiles(input).begin()->second, "1 3 | s1");
}

TEST_F(Plan, SessionsWithoutCreditOrHandlersGetNoSlots) {
    credit.serves_keys = {{"s1", {"A"}}};
    keys.mark_all_waiting();
    EXPECT_FALSE(planner.plan({offer("s1", 0), offer("s2", 5)}, credit, keys, input));
    EXPECT_TRUE(input.slots.empty());
    EXPECT_TRUE(input.keys.empty());
    EXPECT_TRUE(input.sessions.empty());
}

TEST_F(Plan, AnswersAreRememberedUntilSessionsOrDefinitionsChange) {
    credit.serves_keys = {{"s1", {"A"}}};
    planner.plan({offer("s1", 1)}, credit, keys, input);
    credit.serves_keys = {{"s1", {"B"}}};
    ports::TurnInput again;
    planner.plan({offer("s1", 1)}, credit, keys, again);
    EXPECT_EQ(profiles(again).begin()->second, "1 3 | s1");
    planner.forget_sessions();
    ports::TurnInput after;
    planner.plan({offer("s1", 1)}, credit, keys, after);
    EXPECT_EQ(profiles(after).begin()->second, "2 | s1");
}

TEST_F(Plan, ThePlainWorkerGetsOneKeyPerTurnInRotationAndOneBatch) {
    credit.serves_keys = {{"", {"A", "B"}}};
    keys.mark_all_waiting();
    input.batch_size = 3;
    std::vector<std::string> seen;
    for (int i = 0; i < 4; ++i) {
        ports::TurnInput turn = input;
        EXPECT_TRUE(planner.plan({offer("", 10)}, credit, keys, turn));
        seen.push_back(profiles(turn).begin()->second);
    }
    EXPECT_EQ(seen, (std::vector<std::string>{"1* | plain plain plain", "2* | plain plain plain",
                                              "3* | plain plain plain", "1* | plain plain plain"}));
}

TEST_F(Plan, ThePlainWorkerGetsNothingWhileNothingWaitsForIt) {
    credit.serves_keys = {{"", {"B"}}};
    keys.mark_waiting(1);
    EXPECT_FALSE(planner.plan({offer("", 10)}, credit, keys, input));
    EXPECT_TRUE(input.slots.empty());
}

TEST_F(Plan, AKeyIsLookedAtFromWhereTheLastTurnEndedUntilSomethingBeforeBecomesReady) {
    const auto at = [](std::int64_t step_id) { return core::ReadyPosition::of(0, step_id); };
    EXPECT_EQ(keys.look_from(1), core::ReadyPosition{});
    keys.record_scanned(1, at(50));
    EXPECT_FALSE(keys.may_wait(1));
    keys.mark_waiting(1, at(70));
    EXPECT_TRUE(keys.may_wait(1));
    EXPECT_EQ(keys.look_from(1), at(50)) << "what stands behind does not move it back";
    keys.mark_waiting(1, at(20));
    EXPECT_EQ(keys.look_from(1), at(20));
    keys.mark_waiting(1);
    EXPECT_EQ(keys.look_from(1), core::ReadyPosition{}) << "who does not know where, from the front";
    keys.record_scanned(1, core::ReadyPosition::end());
    keys.mark_all_waiting();
    EXPECT_EQ(keys.look_from(1), core::ReadyPosition{});
}

TEST_F(Plan, ATurnFillsABoundedNumberOfSlots) {
    credit.serves_keys = {{"s1", {"A"}}};
    planner.plan({offer("s1", 5000, 0, 5000)}, credit, keys, input);
    ASSERT_EQ(input.slots.size(), 1U);
    EXPECT_EQ(input.slots[0].length, static_cast<int>(kSlotsPerTurnMax));
}

// tasker_next_claims counts on it, and must say what this would claim.
TEST_F(Plan, ProfilesComeInTheOrderOfTheirKeysWhoeverWasFirst) {
    credit.serves_keys = {{"s1", {"B"}}, {"s2", {"A"}}, {"", {"A"}}};
    planner.plan({offer("s1", 1), offer("s2", 1)}, credit, keys, input);
    EXPECT_EQ(profiles(input), (std::map<int, std::string>{{1, "1 3 | s2"}, {2, "2 | s1"}}));
    keys.mark_waiting(1);
    ports::TurnInput with_plain;
    with_plain.batch_size = 1;
    planner.plan({offer("", 1), offer("s1", 1), offer("s2", 1)}, credit, keys, with_plain);
    EXPECT_EQ(profiles(with_plain),
              (std::map<int, std::string>{{1, "1* | plain"}, {2, "1* 3 | s2"}, {3, "2 | s1"}}));
}

TEST_F(Plan, SaysWhetherNamespacesTakeTurnsInAProfile) {
    credit.serves_keys = {{"s1", {"A"}}, {"s2", {"B"}}};
    planner.plan({offer("s1", 1), offer("s2", 1)}, credit, keys, input);
    std::map<std::int32_t, bool> alone;
    for (const auto& key : input.keys) alone[key.handler_key] = key.one_namespace;
    EXPECT_EQ(alone, (std::map<std::int32_t, bool>{{1, false}, {2, true}, {3, false}}));
}

TEST_F(Plan, ATurnHearsOnlyOfSessionsThatGetSlots) {
    std::vector<std::string> names;
    for (int i = 0; i < 1000; ++i) names.push_back("session" + std::to_string(i));
    std::vector<core::CreditOffer> offers;
    for (const auto& name : names) {
        credit.serves_keys[name] = {"A"};
        offers.push_back(offer(name, 1));
    }
    planner.record_claimed(0);
    planner.plan(offers, credit, keys, input);
    EXPECT_EQ(input.sessions.size(), kSlotsPerTurnLeast);
    EXPECT_EQ(input.slots.size(), kSlotsPerTurnLeast) << "one each, since they are equally idle";
}

TEST_F(Plan, TheSlotsOfATurnFollowWhatTheLastOneClaimed) {
    credit.serves_keys = {{"s1", {"A"}}};
    const auto slots_after = [&](std::size_t claims) {
        planner.record_claimed(claims);
        ports::TurnInput turn = input;
        planner.plan({offer("s1", 5000, 0, 5000)}, credit, keys, turn);
        return static_cast<std::size_t>(turn.slots.at(0).length);
    };
    EXPECT_EQ(slots_after(0), kSlotsPerTurnLeast);
    EXPECT_EQ(slots_after(kSlotsPerTurnLeast), 2 * kSlotsPerTurnLeast);
    EXPECT_EQ(slots_after(200), 400U);
    EXPECT_EQ(slots_after(100'000), kSlotsPerTurnMax);
}

}  // namespace
}  // namespace tasker::engine
