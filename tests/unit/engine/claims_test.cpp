// Which keys a lane looks at, and when another turn follows at once; without a database or a thread.
#include "orchestrator/engine/turns/claims.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/engine/fakes.hpp"

namespace tasker::engine {
namespace {

class ClaimsTest : public ::testing::Test {
  protected:
    ClaimsTest() {
        credit.offers = {{"s1", 10, 0, 10, 10, 0}};
        credit.serves_keys = {{"s1", {"Pay", "Ship"}}};
        claims.set_keys({{1, "shop", "Pay"}, {2, "shop", "Ship"}});
    }

    /// One turn with this answer; the keys that it looked at stand in `looked_at`.
    void turn(const ports::TurnResult& result, std::vector<core::TakenBatch> taken = {}) {
        auto offers = claims.reserve();
        ports::TurnInput input;
        worthwhile = claims.plan(offers, input);
        looked_at.clear();
        for (const auto& key : input.keys) {
            if (key.scan) looked_at.push_back(key.handler_key);
        }
        was_locked = claims.update(input, result, offers);
        claims.settle(offers, std::move(taken));
    }

    FakeCredit credit;
    Claims claims{0, credit};
    std::vector<std::int32_t> looked_at;
    bool worthwhile = false;
    bool was_locked = false;
};

TEST_F(ClaimsTest, LooksOnlyAtKeysThatMayHaveWork) {
    turn({});
    EXPECT_FALSE(worthwhile);
    claims.look_at(2);
    turn({});
    EXPECT_TRUE(worthwhile);
    EXPECT_EQ(looked_at, std::vector<std::int32_t>{2});
    turn({});
    EXPECT_TRUE(looked_at.empty()) << "it had nothing";
    claims.look_at_all();
    turn({});
    EXPECT_EQ(looked_at, (std::vector<std::int32_t>{1, 2}));
}

TEST_F(ClaimsTest, AKeyThatStillWaitsIsLookedAtAgain) {
    claims.look_at(1);
    ports::TurnResult result;
    result.keys_waiting = {{1, {}}};
    turn(result);
    EXPECT_FALSE(claims.looks_again()) << "not at once: there was no credit for it";
    turn({});
    EXPECT_EQ(looked_at, std::vector<std::int32_t>{1});
}

TEST_F(ClaimsTest, ATurnThatFilledItsSlotsIsFollowedByAnother) {
    claims.look_at(1);
    turn({});  // claims nothing: the next one has the fewest slots
    claims.look_at(1);
    ports::TurnResult result;
    result.keys_waiting = {{1, {}}};
    for (std::size_t i = 0; i < kSlotsPerTurnLeast; ++i) {
        result.claims.push_back(FakeDatabase::claim(static_cast<std::int64_t>(i + 1), 1));
    }
    turn(result);
    EXPECT_TRUE(claims.looks_again());
    claims.begin_round();
    EXPECT_FALSE(claims.looks_again());
}

TEST_F(ClaimsTest, KeysWhoseStepsAreLockedWaitAndWantNoCredit) {
    claims.look_at(1);
    ports::TurnResult result;
    result.keys_locked = {1};
    turn(result);
    EXPECT_TRUE(was_locked);
    EXPECT_FALSE(credit.wanted.at("s1"));
    claims.release_locked();
    auto offers = claims.reserve();
    claims.settle(offers, {});
    EXPECT_TRUE(credit.wanted.at("s1"));
}

TEST_F(ClaimsTest, CreditLeftBySettlingIsAReasonToLookAgain) {
    credit.more = 1;
    turn({});
    EXPECT_TRUE(claims.looks_again());
    EXPECT_EQ(credit.reserved, 0);
}

TEST_F(ClaimsTest, ThePlainWorkersNextKeyHasItsTurnWhenTheFirstHadNothing) {
    credit.offers = {{"", 10, 0, 10, 10, 1}};
    credit.serves_keys = {{"", {"Pay", "Ship"}}};
    claims.set_keys({{1, "shop", "Pay"}, {2, "shop", "Ship"}});
    claims.look_at_all();
    turn({});
    EXPECT_EQ(looked_at, std::vector<std::int32_t>{1}) << "a batch has one key";
    EXPECT_TRUE(claims.looks_again());
    claims.begin_round();
    turn({});
    EXPECT_EQ(looked_at, std::vector<std::int32_t>{2});
}

}  // namespace
}  // namespace tasker::engine
