// The listener's clock and its view of sessions: time-outs, losses, cancellations, starts.
#include "tests/unit/engine/listener_rig.hpp"

namespace tasker::engine {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ListenerLoss : public ListenerRig {
  protected:
    static ports::Inbound running(std::int64_t step_id, std::int64_t age_ms) {
        return ports::StepRunning{"b1", step_id, 1, age_ms};
    }
    std::string orphans() {
        std::string text;
        in_database([&](auto& db) {
            for (const auto& input : db.turns) {
                for (const auto& orphan : input.orphans)
                    text += (text.empty() ? "" : " ") + std::to_string(orphan.step_id) + ":" + orphan.reason;
            }
        });
        return text;
    }
};

TEST_F(ListenerLoss, AStepThatRunsTooLongIsOrphanedCancelledAndClaimedAgain) {
    start();
    claim({1});
    push(running(1, 1000));
    settle();
    pass(seconds(33));  // 30 s and 5 s of grace, begun 1 s before we heard of it
    EXPECT_EQ(orphans(), "");
    pass(milliseconds(1001));
    EXPECT_EQ(orphans(), "1:timed_out");
    EXPECT_EQ(log().count("cancel s1 b1: 1 timed_out ended"), 1U);
    settle();
    EXPECT_EQ(log().count("publish s1 b2: 1"), 1U) << log().with("publish");
    EXPECT_LT(log().place("cancel s1 b1: 1 timed_out ended"), log().place("forget b1"))
        << "io must know that the handler may still run before it forgets the batch";
}

TEST_F(ListenerLoss, AStepThatReportedInTimeIsNot) {
    start();
    claim({1});
    push(running(1, 0));
    push(done(1, 1));
    settle();
    pass(seconds(36));
    EXPECT_EQ(orphans(), "");
}

TEST_F(ListenerLoss, AfterAPauseOfOurOwnTimeOutsWaitAnotherLease) {
    start();
    claim({1});
    push(running(1, 0));
    settle();
    pass(seconds(120));  // far beyond: this process was stopped, the report may wait unread
    EXPECT_EQ(orphans(), "");
    pass(milliseconds(7900));
    EXPECT_EQ(orphans(), "");
    pass(milliseconds(101));
    EXPECT_EQ(orphans(), "1:timed_out");
}

TEST_F(ListenerLoss, APlainWorkersStepsAreTimedFromPublishingOneAfterTheOther) {
    credit.offers = {{"", 10, 0, 10, 10, 1}};
    credit.serves_keys = {{"", {"Pay"}}};
    start();
    claim({1, 2});
    pass(seconds(36));
    EXPECT_EQ(orphans(), "1:timed_out");
    pass(seconds(28));
    EXPECT_EQ(orphans(), "1:timed_out");
    pass(seconds(2));
    EXPECT_EQ(orphans(), "1:timed_out 2:timed_out");
    EXPECT_EQ(log().with("cancel"), "") << "a plain worker has no address";
}

TEST_F(ListenerLoss, APlainBatchAsAWholeHasNoMoreTimeThanItsResultTimeOut) {
    options.delivery.result_timeout = seconds(40);
    credit.offers = {{"", 10, 0, 10, 10, 1}};
    credit.serves_keys = {{"", {"Pay"}}};
    start();
    claim({1, 2, 3});
    pass(seconds(36));
    EXPECT_EQ(orphans(), "1:timed_out") << "one step's own time-out is shorter";
    pass(seconds(5));
    EXPECT_EQ(orphans(), "1:timed_out 2:timed_out 3:timed_out");
}

TEST_F(ListenerLoss, ALossThatNobodyToldIsFoundByTheScan) {
    start();
    claim({1});
    {
        const std::lock_guard lock(credit.mutex);
        credit.gone.insert("s1");
    }
    pass(seconds(5));
    EXPECT_EQ(orphans(), "1:session_lost");
    EXPECT_EQ(log().with("cancel"), "") << "nobody is there to be told";
}

TEST_F(ListenerLoss, AClaimThatMeetsTheLossOfItsSessionIsNoOrphanWhenItNeverLeft) {
    start();
    claim({1});
    push(ports::SessionLost{"s1", "w", "unsubscribed", 0, false});
    settle();
    EXPECT_EQ(orphans(), "") << "io may still say that it never left";
    push(ports::Undelivered{"s1", "b1"});
    settle();
    EXPECT_EQ(orphans(), "");
    EXPECT_EQ(stored("b1").steps.at(0).final_status, "handed_back");
}

TEST_F(ListenerLoss, AStartThatCouldNotBeWrittenIsTimedAllTheSame) {
    start();
    claim({1});
    in_database([&](auto& db) { db.turn_failures = {failing(ports::DatabaseFault::locked)}; });
    push(running(1, 0));
    settle();
    pass(milliseconds(35001));
    EXPECT_EQ(orphans(), "1:timed_out");
}

TEST_F(ListenerLoss, AStartIsAnsweredAfterTheCommit) {
    in_database([](auto& db) { db.claim_first = true; });
    start();
    claim({1});
    push(ports::StartRequested{"s1", "b1", 1, 1, 4});
    settle();
    EXPECT_EQ(log().count("start s1 b1: 1 n4 granted"), 1U);
    EXPECT_LT(log().place("turn"), log().place("start s1 b1: 1 n4 granted"));
    EXPECT_EQ(listener->counters().starts_granted, 1);
    in_database([](auto& db) { db.start_refusal = "cancelled"; });
    push(ports::StartRequested{"s1", "b1", 1, 1, 5});
    settle();
    EXPECT_EQ(log().count("start s1 b1: 1 n5 cancelled"), 1U);
    push(ports::StartRequested{"s1", "nowhere", 1, 1, 5});
    settle();
    EXPECT_EQ(log().count("start s1 nowhere: 1 n5 unknown_step"), 1U);
}

TEST_F(ListenerLoss, AGrantedStartIsNoProofAnyMore) {
    in_database([](auto& db) { db.claim_first = true; });
    start();
    claim({1, 2});
    push(ports::StartRequested{"s1", "b1", 1, 1, 1});
    settle();
    clock.advance(milliseconds(100));
    push(ports::SessionLost{"s1", "w", "lease_ended", 2, false});
    settle();
    EXPECT_EQ(orphans(), "1:session_lost") << "step 2 was never granted and is handed back";
}

TEST_F(ListenerLoss, CancelledDeliveriesAndDrainsAreToldWhenWokenAndAgainWithEachScan) {
    start();
    claim({1});
    in_database([](auto& db) {
        db.cancelled = {{"s1", "b1", 1, 1, "the customer withdrew"}};
        db.drains = {{"s1", 30000}};
    });
    ports::Wake wake;
    wake.full_scan = true;
    push(wake);
    settle();
    EXPECT_EQ(log().count("cancel s1 b1: 1 the customer withdrew"), 1U);
    EXPECT_EQ(log().count("drain s1"), 1U);
    pass(seconds(5));
    EXPECT_EQ(log().count("cancel s1 b1: 1 the customer withdrew"), 2U) << "it may have been lost";
}

TEST_F(ListenerLoss, AHeldStepMakesItsSessionSuspect) {
    start();
    claim({1});
    push(ports::HeldTooLong{"s1", "b1", 1, false});
    settle();
    EXPECT_EQ(log().count("cancel s1 b1: 1 held_unstarted"), 1U);
    EXPECT_EQ(log().count("suspect s1"), 1U);
}

TEST_F(ListenerLoss, ATimeOutWhoseTaskIsLockedHoldsUpNobodyAndIsTriedAgain) {
    start();
    claim({1, 2});
    push(running(1, 0));
    settle();
    // With the report, and then by itself.
    in_database([&](auto& db) {
        const auto locked = failing(ports::DatabaseFault::locked);
        db.turn_failures = {locked, [] {}, locked};
    });
    clock.advance(seconds(36));
    push(done(2, 1));
    settle();
    EXPECT_EQ(log().count("ack s1 b1: 1"), 1U) << "the report went through without the time-out";
    EXPECT_EQ(orphans(), "");
    pass(milliseconds(1001));
    EXPECT_EQ(orphans(), "1:timed_out");
}

TEST_F(ListenerLoss, AReportBehindAPoisonousMessageIsNotTimedOut) {
    start();
    claim({1, 2, 3, 4});
    push(running(1, 0));
    settle();
    in_database([&](auto& db) { db.poison = "poison"; });
    clock.advance(seconds(36));
    push_together({done(2, 1), done(3, 2), done(4, 3, "b1", "{\"poison\":1}"), done(1, 4)});
    ASSERT_TRUE(log().wait([&] { return log().count("ack s1 b1: 4") == 1; }));
    settle();
    EXPECT_EQ(orphans(), "");
    EXPECT_EQ(stored("b1").steps.at(0).final_status, "completed");
}

TEST_F(ListenerLoss, ATimeOutIsNotKeptBackByPoisonThatKeepsComing) {
    start();
    claim({1, 2});
    push(running(1, 0));
    settle();
    in_database([&](auto& db) { db.poison = "poison"; });
    clock.advance(seconds(36));
    push(done(2, 1, "b1", "{\"poison\":1}"));
    ASSERT_TRUE(log().wait([&] { return orphans() == "1:timed_out"; }));
}

TEST_F(ListenerLoss, AStepRunningAtTheRestartKeepsItsTimeButGetsALeaseToReport) {
    in_database([](auto& db) {
        ports::StoredBatch batch;
        batch.batch_id = 1;
        batch.batch_uuid = "b1";
        batch.session = "s1";
        batch.handler_key = 1;
        batch.state = core::BatchState::executing;
        ports::StoredBatchStep step;
        step.batch_step_id = 10;
        step.step_id = 1;
        step.task_id = 7;
        step.attempt = 1;
        step.step_name = "pay";
        step.named_task_id = step.template_revision = 1;
        step.timeout_ms = 30000;
        step.retry_limit = 3;
        step.started = true;
        step.started_ms_ago = 34000;
        step.context_json = "{}";
        batch.steps.push_back(step);
        db.batches["b1"] = batch;
    });
    start();
    pass(milliseconds(7900));
    EXPECT_EQ(orphans(), "") << "one second of its time was left, the lease is longer";
    pass(milliseconds(101));
    EXPECT_EQ(orphans(), "1:timed_out");
}

}  // namespace
}  // namespace tasker::engine
