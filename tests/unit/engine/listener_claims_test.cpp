// The listener when claims fail: no report is suspected, the culprit is found and set aside, all others go on.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/engine/listener_rig.hpp"

namespace tasker::engine {
namespace {

using ports::DatabaseFault;
using std::chrono::milliseconds;

class ListenerClaims : public ListenerRig {
  protected:
    ListenerClaims() { credit.offers = {{"s1", 2000, 0, 2000, 2000, 0}}; }

    std::set<std::int64_t> published() {
        std::set<std::int64_t> steps;
        in_database([&](auto& db) {
            for (const auto& [uuid, batch] : db.batches) {
                for (const auto& step : batch.steps) {
                    if (step.final_status != "handed_back") steps.insert(step.step_id);
                }
            }
        });
        return steps;
    }
    void wait_for(const std::function<bool()>& condition) { ASSERT_TRUE(log().wait(condition)) << "stuck"; }
};

TEST_F(ListenerClaims, AStepThatCannotBeClaimedIsSetAsideAndAllOthersRun) {
    for (const std::int64_t culprit : {1, 7, 12}) {
        SCOPED_TRACE(culprit);
        in_database([&](auto& db) {
            db.unbuildable = {culprit};
            db.batches.clear();
        });
        log().clear();
        if (!listener) start();
        claim({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
        const auto set_aside = "hand back " + std::to_string(culprit) + " request_too_large";
        wait_for([&] { return log().count(set_aside) == 1 && published().size() == 11; });
        EXPECT_FALSE(published().contains(culprit));
        EXPECT_LE(log().count("failed turn"), 12U);
        EXPECT_EQ(log().with("rejected unst"), "");
    }
}

// A text too long is its data's fault for the server, one beyond its memory a refusal.
TEST_F(ListenerClaims, ARefusalOfTheServerForOneClaimSetsItsStepAsideToo) {
    in_database([](auto& db) {
        db.unbuildable = {3};
        db.unbuildable_fault = DatabaseFault::refused;
    });
    start();
    claim({1, 2, 3, 4, 5});
    wait_for([&] { return log().count("hand back 3 request_too_large") == 1 && published().size() == 4; });
    EXPECT_EQ(connections, 1) << "the connection is not to blame";
}

TEST_F(ListenerClaims, AReportIsNotSuspectedForWhatItsTurnClaims) {
    start();
    claim({1});
    in_database([&](auto& db) {
        db.child_of = {{1, 20}};
        db.unbuildable = {20};
    });
    push(done(1, 1));
    wait_for([&] { return log().count("hand back 20 request_too_large") == 1; });
    EXPECT_EQ(log().count("ack s1 b1: 1"), 1U);
    EXPECT_EQ(log().with("refuse"), "");
    in_database([&](auto& db) { EXPECT_TRUE(db.rejected.empty() || db.rejected[0].code != "unstorable"); });
    EXPECT_LT(log().place("ack s1 b1: 1"), log().place("request of 20")) << "the report comes first";
}

TEST_F(ListenerClaims, APoisonedReportMakesNoKeyASuspect) {
    start();
    claim({1});
    in_database([](auto& db) { db.poison = "poison"; });
    push(done(1, 1, "b1", R"("poison")"));
    wait_for([&] { return log().count("refuse s1 b1: 1 unstorable") == 1; });
    log().clear();
    claim({2, 3});
    EXPECT_EQ(log().with("publish"), "publish s1 b2: 2 3") << "in one turn, as ever";
}

TEST_F(ListenerClaims, ALaneThatCannotClaimPausesLongerEachTimeAndStillTakesReports) {
    start();
    claim({1, 2});
    in_database([](auto& db) { db.claims_fail = true; });
    claim({3});
    const auto tried = [&] { return log().count("failed turn"); };
    const auto first = tried();
    settle();
    settle();
    EXPECT_EQ(tried(), first) << "not at full speed";
    push(done(1, 1));
    settle();
    EXPECT_EQ(log().count("ack s1 b1: 1"), 1U);
    pass(milliseconds(300));
    const auto second = tried();
    EXPECT_GT(second, first);
    pass(milliseconds(300));
    EXPECT_EQ(tried(), second) << "the pause has grown";
    in_database([](auto& db) { db.claims_fail = false; });
    pass(milliseconds(120000));
    wait_for([&] { return published().contains(3); });
}

TEST_F(ListenerClaims, WhatDoesNotFitIntoATurnIsClaimedByTheNextAtOnce) {
    options.turn_bytes_max = 100;
    in_database([](auto& db) { db.next_context = "\"" + std::string(40, 'x') + "\""; });
    start();
    claim({1, 2, 3, 4, 5});
    // What is committed is published just after.
    const std::string all = "publish s1 b1: 1 2, publish s1 b2: 3 4, publish s1 b3: 5";
    wait_for([&] { return log().with("publish").size() >= all.size(); });
    EXPECT_EQ(log().with("publish"), all);
    EXPECT_EQ(log().with("hand back"), "");
}

TEST_F(ListenerClaims, AConnectionLostTwiceOverTheSameClaimsHasThemTriedApart) {
    start();
    in_database([](auto& db) {
        for (int i = 0; i < 2; ++i) db.turn_failures.push_back(failing(DatabaseFault::connection));
    });
    claim({1, 2, 3});
    wait_for([&] { return log().with("publish") == "publish s1 b1: 1, publish s1 b2: 2 3"; });
}

}  // namespace
}  // namespace tasker::engine
