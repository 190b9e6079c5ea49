// The listener on good days: turns, order of commit and sending, timers.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/wait_until.hpp"
#include "tests/unit/engine/listener_rig.hpp"

namespace tasker::engine {
namespace {

using std::chrono::milliseconds;

class ListenerTurns : public ListenerRig {};

TEST_F(ListenerTurns, StartAdoptsOpenBatchesAndLooksAtEverything) {
    start();
    EXPECT_EQ(log().lines().at(0), "adopt");
    EXPECT_GE(turns(), 1U);
    EXPECT_TRUE(turn(0).due);
    ASSERT_EQ(turn(0).keys.size(), 1U);
    EXPECT_TRUE(turn(0).keys[0].scan);
}

TEST_F(ListenerTurns, NothingIsSentAndWrittenWhenNothingHappens) {
    start();
    const auto before = turns();
    log().clear();
    for (int i = 0; i < 3; ++i) settle();
    push(ports::CreditAppeared{});
    push(ports::SessionLost{"s1", "w", "lease", 0});
    settle();
    EXPECT_EQ(turns(), before);
    EXPECT_EQ(log().with("publish") + log().with("ack") + log().with("forget") + log().with("request"), "");
}

TEST_F(ListenerTurns, PublishesWhatTheCommittedTurnClaimed) {
    start();
    claim({1, 2});
    EXPECT_EQ(log().with("publish"), "publish s1 b1: 1 2");
    EXPECT_EQ(credit.taken_steps, 2);
    EXPECT_EQ(listener->counters().steps_claimed, 2);
    EXPECT_EQ(listener->counters().open_batches, 1);
}

TEST_F(ListenerTurns, AcknowledgesOnlyAfterTheCommit) {
    start();
    claim({1});
    log().clear();
    in_database([&](auto& db) { db.turn_failures.push_back(failing(ports::DatabaseFault::repeatable)); });
    push(done(1, 1));
    settle();
    EXPECT_LT(log().place("turn"), log().place("ack s1 b1: 1"));
    EXPECT_EQ(log().count("ack s1 b1: 1"), 1U);
    EXPECT_EQ(listener->counters().reports_applied, 1);
    EXPECT_EQ(log().with("ended"), "ended 7");
}

// Either the transaction tells it or the caretaker does, never both and never neither.
TEST_F(ListenerTurns, ASmallTurnTellsTheEndOfATaskItself) {
    start();
    in_database([&](auto& db) { db.notifies = true; });
    claim({1});
    push(done(1, 1));
    settle();
    EXPECT_EQ(listener->counters().reports_applied, 1);
    EXPECT_EQ(log().with("ended"), "");
}

TEST_F(ListenerTurns, OneTurnForWhateverWaits) {
    start();
    claim({1, 2, 3});
    const auto before = turns();
    push_together({done(1, 1), done(2, 2), done(3, 3), completed({1, 2, 3}, 4)});
    settle();
    EXPECT_EQ(turns(), before + 1);
    EXPECT_EQ(turn(before).messages.size(), 4U);
    EXPECT_EQ(log().count("ack s1 b1: 1 2 3 4"), 1U);
    EXPECT_EQ(stored("b1").state, core::BatchState::completed);
    EXPECT_EQ(stored("b1").reconciliation, core::ReconciliationStatus::consistent);
    EXPECT_EQ(log().count("forget b1"), 1U);
    EXPECT_EQ(listener->counters().open_batches, 0);
}

TEST_F(ListenerTurns, ReportsAndTheStepsTheyMakeReadyAreOneTurn) {
    in_database([](auto& db) { db.child_of = {{1, 2}}; });
    start();
    claim({1});
    const auto before = turns();
    push(done(1, 1));
    settle();
    EXPECT_EQ(turns(), before + 1);
    EXPECT_EQ(log().with("publish"), "publish s1 b1: 1, publish s1 b2: 2");
}

TEST_F(ListenerTurns, LateReportsOfABatchLongOverAreJudgedByTheDatabaseAndAcked) {
    start();
    claim({1});
    push_together({done(1, 1), completed({1}, 2)});
    settle();
    log().clear();
    push_together({done(1, 1), completed({1}, 2)});
    settle();
    EXPECT_EQ(log().count("ack s1 b1: 1 2"), 1U);
    EXPECT_EQ(listener->counters().reports_applied, 1);
    EXPECT_EQ(listener->counters().open_batches, 0);
}

TEST_F(ListenerTurns, AWakeUpLooksOnlyAtTheKeysItNames) {
    credit.serves_keys = {{"s1", {"Pay", "Ship"}}};
    start();
    const auto before = turns();
    ports::Wake wake;
    wake.keys = {2};
    push(wake);
    settle();
    ASSERT_EQ(turns(), before + 1);
    ASSERT_EQ(turn(before).keys.size(), 2U);
    EXPECT_FALSE(turn(before).keys[0].scan);
    EXPECT_TRUE(turn(before).keys[1].scan);
    EXPECT_FALSE(turn(before).due);
}

TEST_F(ListenerTurns, NewDefinitionsAreReadAgain) {
    start();
    const auto before = database.keys_loaded;
    push(ports::Wake{false, true, {}});
    settle();
    EXPECT_EQ(database.keys_loaded, before + 1);
}

TEST_F(ListenerTurns, EveryFiveSecondsEverythingIsLookedAt) {
    start();
    const auto before = turns();
    pass(milliseconds(4900));
    EXPECT_EQ(turns(), before);
    pass(milliseconds(200));
    ASSERT_EQ(turns(), before + 1);
    EXPECT_TRUE(turn(before).due);
    EXPECT_TRUE(turn(before).keys.at(0).scan);
}

TEST_F(ListenerTurns, RetriesAreLookedForWhenTheyAreDue) {
    start();
    claim({1});
    auto failed = partial(1, 1, protocol::ReportStatus::failed);
    failed.batch_id = "b1";
    push(report(failed));
    settle();
    const auto before = turns();
    EXPECT_DOUBLE_EQ(turn(before - 1).messages.at(0).backoff_seconds.value(), 0.2) << "the template's";
    pass(milliseconds(190));
    EXPECT_EQ(turns(), before);
    pass(milliseconds(20));
    ASSERT_EQ(turns(), before + 1);
    EXPECT_TRUE(turn(before).due);
}

TEST_F(ListenerTurns, TheNextDueTimeComesFromTheDatabase) {
    in_database([](auto& db) { db.due_in_ms = 700; });
    start();
    in_database([](auto& db) { db.due_in_ms.reset(); });
    const auto before = turns();
    pass(milliseconds(600));
    EXPECT_EQ(turns(), before);
    pass(milliseconds(150));
    EXPECT_EQ(turns(), before + 1);
}

// Rows that are due and locked by somebody else: to be looked at again soon, but not without end.
TEST_F(ListenerTurns, WhatIsDueAndHeldIsNotAskedForAtFullSpeed) {
    in_database([](auto& db) { db.due_in_ms = 0; });
    start();
    const auto before = turns();
    for (int i = 0; i < 5; ++i) settle();
    EXPECT_EQ(turns(), before);
    pass(milliseconds(100));
    EXPECT_EQ(turns(), before + 1);
}

TEST_F(ListenerTurns, MissingReportsAreAskedForAndThenADiscrepancy) {
    start();
    claim({1, 2});
    push_together({done(1, 1), completed({1, 2}, 3)});
    settle();
    EXPECT_EQ(log().with("request"), "");
    pass(milliseconds(5100));
    EXPECT_EQ(log().with("request"), "request s1 b1: 2");
    EXPECT_EQ(stored("b1").reconciliation, core::ReconciliationStatus::pending);
    pass(milliseconds(5100));
    EXPECT_EQ(log().with("request"), "request s1 b1: 2") << "asked once";
    EXPECT_EQ(stored("b1").reconciliation, core::ReconciliationStatus::discrepancy);
    push(done(2, 2));
    settle();
    EXPECT_EQ(stored("b1").reconciliation, core::ReconciliationStatus::consistent);
    EXPECT_EQ(stored("b1").state, core::BatchState::completed);
}

TEST_F(ListenerTurns, AMissingCompletionIsAskedForAndThenADiscrepancy) {
    start();
    claim({1});
    push(done(1, 1));
    settle();
    pass(milliseconds(5100));
    EXPECT_EQ(log().with("request"), "request s1 b1: ");
    pass(milliseconds(5100));
    EXPECT_EQ(stored("b1").reconciliation, core::ReconciliationStatus::discrepancy);
    EXPECT_EQ(listener->counters().open_batches, 0);
}

TEST_F(ListenerTurns, WhatArrivesWithinTheGraceIsNoDiscrepancy) {
    start();
    claim({1});
    push(done(1, 1));
    settle();
    pass(milliseconds(4000));
    push(completed({1}, 2));
    settle();
    pass(milliseconds(20000));
    EXPECT_EQ(log().with("request"), "");
    EXPECT_EQ(stored("b1").reconciliation, core::ReconciliationStatus::consistent);
}

TEST_F(ListenerTurns, AStepTooLargeToSendEndsAndItsBatchWithIt) {
    options.limits.batch_bytes = 10'000;
    in_database([](auto& db) { db.next_context = R"({"x":")" + std::string(20'000, 'x') + "\"}"; });
    start();
    claim({1});
    EXPECT_EQ(log().with("publish"), "");
    EXPECT_EQ(stored("b1").steps.at(0).final_status, "handed_back");
    EXPECT_EQ(stored("b1").state, core::BatchState::cancelled);
    const auto last = turn(turns() - 1);
    ASSERT_EQ(last.hand_backs.size(), 1U);
    EXPECT_EQ(last.hand_backs[0].reason, "request_too_large");
    EXPECT_EQ(credit.taken_steps, 0);
}

TEST_F(ListenerTurns, UndeliveredStepsAreClaimedAgainAtOnce) {
    start();
    claim({1});
    push(ports::Undelivered{"s1", "b1"});
    settle();
    EXPECT_EQ(log().with("publish"), "publish s1 b1: 1, publish s1 b2: 1");
    EXPECT_EQ(stored("b2").steps.at(0).attempt, 2);
    EXPECT_EQ(stored("b1").state, core::BatchState::cancelled);
}

// A worker of the old kind answers with one message; nothing comes after it that would start another turn.
TEST_F(ListenerTurns, ThePlainWorkerGetsTheNextStepOfAChainWithoutWaitingForTheScan) {
    credit.offers = {{"", 10, 0, 10, 10, 1}};
    credit.serves_keys = {{"", {"Pay"}}};
    in_database([](auto& db) { db.child_of = {{1, 2}}; });
    start();
    claim({1});
    protocol::StepBatchResponse response;
    response.batch_id = "b1";
    response.results.resize(1);
    response.results[0].step_id = 1;
    response.results[0].output_json = "{}";
    // Straight into the listener, without the turns that settle() would cause.
    push(report(response, "{}"));
    EXPECT_TRUE(log().wait([&] { return log().with("publish") == "publish  b1: 1, publish  b2: 2"; }))
        << log().with("publish");
}

TEST_F(ListenerTurns, WhatWaitsAtTheEndIsStillWritten) {
    start();
    claim({1});
    push(done(1, 1));
    stop();
    EXPECT_EQ(log().count("ack s1 b1: 1"), 1U);
    EXPECT_FALSE(epoch_lost);
}

// ---------------------------------------------------------------------------------------- several lanes

TEST_F(ListenerTurns, SaysWhichSessionsItStillHasWorkFor) {
    credit.offers[0].free = 1;
    start();
    claim({1, 2});
    const auto wanted = [&] {
        const std::lock_guard lock(credit.mutex);
        return credit.wanted.at("s1");
    };
    EXPECT_TRUE(wanted()) << "step 2 waits for credit";
    {
        const std::lock_guard lock(credit.mutex);
        credit.offers[0].free = 2;
    }
    push(ports::CreditShared{});
    settle();
    EXPECT_FALSE(wanted());
    EXPECT_EQ(credit.taken_steps, 2);
}

TEST_F(ListenerTurns, LooksAgainAtOnceWhenSettlingLeavesCreditForIt) {
    start();
    const auto reservations = [&] {
        const std::lock_guard lock(credit.mutex);
        return credit.reservations;
    };
    const int before = reservations();
    {
        const std::lock_guard lock(credit.mutex);
        credit.more = 5;
    }
    push(ports::CreditShared{});
    EXPECT_TRUE(test::wait_until([&] { return reservations() == before + 1 + 5; }, milliseconds(20'000)))
        << "one for the hint, and one for each time that there is more";
}

TEST_F(ListenerTurns, OnlyTheFirstLaneSpeaksForSessions) {
    options.lane = 1;
    in_database([](auto& db) {
        db.drains = {{"s1", 1000}};
        db.cancelled = {{"s1", "b9", 9, 1, "cancelled"}};
    });
    start();
    ports::Wake wake;
    wake.full_scan = true;
    push(wake);
    settle();
    EXPECT_EQ(log().with("drain"), "");
    EXPECT_GE(log().count("cancel s1 b9: 9 cancelled"), 1U) << log().with("cancel");
}

}  // namespace
}  // namespace tasker::engine
