// Deliveries that end without a report, starts that are granted, and the dead letters both may leave.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "orchestrator/ports/database_error.hpp"
#include "tests/store/turn/scene.hpp"

namespace tasker::store {
namespace {

class Orphan : public ::testing::Test {
  protected:
    void TearDown() override { EXPECT_EQ(scene.violations(), std::vector<std::string>{}); }

    static ports::Orphan orphan(const ports::ClaimedStep& claim, const std::string& reason = "session_lost") {
        return {claim.batch_id, claim.step_id, claim.task_id, claim.attempt, reason};
    }
    static ports::StartClaim start(const ports::ClaimedStep& claim) {
        return {claim.batch_id, claim.step_id, claim.task_id, claim.attempt};
    }
    ports::TurnResult lose(const ports::ClaimedStep& claim, const std::string& reason = "session_lost") {
        ports::TurnInput input;
        input.orphans = {orphan(claim, reason)};
        return scene.turn(input);
    }
    ports::TurnResult ask(const ports::ClaimedStep& claim) {
        ports::TurnInput input;
        input.starts = {start(claim)};
        return scene.turn(input);
    }
    ports::ClaimedStep begin(const std::string& drawing) {
        task = scene.submit(scene.draw("single", drawing));
        return scene.claim(1).at(0);
    }
    // The one task and its one step.
    void cancel() {
        scene.execute(
            "UPDATE tasker_tasks SET state = 'cancelled', movable_steps = 0, transition_count = 3, "
            "completed_at = now()");
        scene.execute("INSERT INTO tasker_task_transitions VALUES (" + std::to_string(task) +
                      ", 3, 'in_progress', 'cancelled', 'cancel', NULL)");
        scene.execute("UPDATE tasker_workflow_steps SET state = 'cancelled', transition_count = 3");
        scene.execute(
            "INSERT INTO tasker_workflow_step_transitions SELECT workflow_step_id, task_id, 3, "
            "'in_progress', "
            "'cancelled', 'cancel', NULL FROM tasker_workflow_steps");
    }
    std::string dead_letters() {
        return scene.list(
            "SELECT reason || '@' || attempt || coalesce(':' || late_result::text, '') FROM "
            "tasker_dead_letters "
            "ORDER BY dead_letter_id");
    }
    std::string last_transition(std::int64_t step) {
        return scene.one(
            "SELECT from_state || '>' || to_state || ' ' || event || ' ' || coalesce(metadata->>'reason', "
            "'') FROM "
            "tasker_workflow_step_transitions WHERE workflow_step_id = " +
            std::to_string(step) + " ORDER BY sort_key DESC LIMIT 1");
    }
    std::string final_status(const ports::ClaimedStep& claim) {
        return scene.one(
            "SELECT coalesce(final_status, 'none') FROM tasker_step_execution_batch_steps WHERE id = " +
            std::to_string(claim.batch_step_id));
    }

    Scene scene;
    std::int64_t task = 0;
};

TEST_F(Orphan, IsRetriedAtOnceAndCountsAsAnAttempt) {
    const auto first = begin("only limit=3");
    const auto result = lose(first);
    ASSERT_EQ(result.orphans.size(), 1U);
    EXPECT_EQ(result.orphans[0].new_state, "waiting_for_retry");
    EXPECT_EQ(scene.state_of(first.step_id), "waiting_for_retry");
    EXPECT_EQ(last_transition(first.step_id), "in_progress>waiting_for_retry await_retry session_lost");
    EXPECT_EQ(final_status(first), "orphaned");
    const auto second = scene.claim(1).at(0);
    EXPECT_EQ(second.attempt, 2);
    EXPECT_NE(second.batch_uuid, first.batch_uuid);
    EXPECT_EQ(scene.one("SELECT attempts || ' ' || unstarted_attempts FROM tasker_workflow_steps"), "2 0");
    EXPECT_EQ(dead_letters(), "");
}

TEST_F(Orphan, IsClaimedAgainByTheTurnThatFindsItWhenThereIsCredit) {
    const auto first = begin("only");
    auto input = scene.claiming({{"s2", 1}});
    input.orphans = {orphan(first)};
    const auto result = scene.turn(input);
    ASSERT_EQ(result.claims.size(), 1U);
    EXPECT_EQ(result.claims[0].attempt, 2);
}

TEST_F(Orphan, AStepThatKillsItsWorkersEndsInTheDeadLetters) {
    lose(begin("only limit=2"));
    const auto second = scene.claim(1).at(0);
    EXPECT_EQ(lose(second).orphans.at(0).new_state, "error");
    EXPECT_EQ(dead_letters(), "session_lost@2");
    EXPECT_EQ(scene.task_state(task), "error");
    EXPECT_TRUE(scene.claim(1).empty());
}

TEST_F(Orphan, OfAStepThatMustNotRepeatIsADeadLetterWithItsWorker) {
    scene.execute(
        "INSERT INTO tasker_workers (session, worker_id, capacity, state, epoch) VALUES ('s1', 'payer-1', 1, "
        "'lost', 1)");
    const auto pay = begin("pay dead_letter limit=5");
    EXPECT_EQ(lose(pay).orphans.at(0).new_state, "error");
    EXPECT_EQ(scene.task_state(task), "error");
    EXPECT_EQ(dead_letters(), "session_lost@1");
    EXPECT_EQ(scene.one("SELECT last_worker || ' ' || (last_error->>'error_code') FROM tasker_dead_letters"),
              "payer-1 session_lost");
    EXPECT_EQ(last_transition(pay.step_id), "in_progress>error fail session_lost");
}

TEST_F(Orphan, OfAStepWithoutRetriesIsADeadLetter) {
    lose(begin("only once limit=3"), "timed_out");
    EXPECT_EQ(dead_letters(), "timed_out@1");
}

TEST_F(Orphan, ThatHasReportedInTheSameTurnIsNone) {
    const auto step = begin("only");
    ports::TurnInput input;
    input.messages = {Scene::report(step)};
    input.orphans = {orphan(step)};
    const auto result = scene.turn(input);
    EXPECT_TRUE(result.orphans.empty());
    EXPECT_EQ(scene.state_of(step.step_id), "complete");
    EXPECT_EQ(final_status(step), "completed");
}

TEST_F(Orphan, ThatReportsSuccessBeforeItsRetryIsCompleteAfterAll) {
    const auto step = begin("only");
    lose(step);
    EXPECT_EQ(scene.apply({Scene::report(step)}), "applied");
    EXPECT_EQ(scene.state_of(step.step_id), "complete");
    EXPECT_EQ(final_status(step), "orphaned") << "how its delivery ended stays";
    EXPECT_TRUE(scene.claim(1).empty());
}

TEST_F(Orphan, ThatReportsSuccessAfterItsRetryBeganChangesNothing) {
    const auto first = begin("only");
    lose(first);
    const auto second = scene.claim(1).at(0);
    EXPECT_EQ(scene.apply({Scene::report(first)}), "stale_attempt");
    EXPECT_EQ(scene.state_of(second.step_id), "in_progress");
    EXPECT_EQ(scene.apply({Scene::report(second)}), "applied");
}

TEST_F(Orphan, ThatReportsSuccessTooLateShowsItOnItsDeadLetter) {
    const auto step = begin("pay dead_letter");
    lose(step);
    EXPECT_EQ(scene.apply({Scene::report(step)}), "late");
    EXPECT_EQ(scene.state_of(step.step_id), "error");
    EXPECT_EQ(dead_letters(), R"(session_lost@1:{"by": "pay"})");
    EXPECT_EQ(scene.apply({Scene::report(step, "failed")}), "duplicate");
}

TEST_F(Orphan, OfACancelledStepEndsItsDeliveryAndNothingElse) {
    const auto step = begin("only");
    cancel();
    EXPECT_TRUE(lose(step).orphans.empty());
    EXPECT_EQ(scene.state_of(step.step_id), "cancelled");
    EXPECT_EQ(final_status(step), "orphaned");
    EXPECT_EQ(dead_letters(), "");
}

TEST_F(Orphan, AHandBackOfACancelledStepEndsItsDeliveryToo) {
    const auto step = begin("only");
    cancel();
    ports::TurnInput input;
    input.hand_backs = {Scene::hand_back(step, "cancelled")};
    scene.turn(input);
    EXPECT_EQ(scene.state_of(step.step_id), "cancelled");
    EXPECT_EQ(final_status(step), "handed_back");
}

TEST_F(Orphan, ReportsAndLossesOfOneTaskInOneTurnKeepItsCounters) {
    task = scene.submit(scene.draw("wide", "a\nb\nc limit=1\nd <- a b c"));
    const auto claims = scene.claim(3);
    ports::TurnInput input;
    input.messages = {Scene::report(claims.at(0))};
    input.orphans = {orphan(claims.at(1)), orphan(claims.at(2), "timed_out")};
    scene.turn(input);
    EXPECT_EQ(dead_letters(), "timed_out@1");
    EXPECT_EQ(scene.task_state(task), "in_progress") << "one of them runs again";
    scene.apply({Scene::report(scene.claim(1).at(0))});
    EXPECT_EQ(scene.task_state(task), "error");
}

TEST_F(Orphan, AFailureAtTheLimitIsADeadLetterAndAPermanentErrorIsNone) {
    scene.apply({Scene::report(begin("only limit=1"), "failed")});
    EXPECT_EQ(dead_letters(), "retries_exhausted@1");
    scene.submit(scene.draw("second", "other limit=1"));
    scene.apply({Scene::report(scene.claim(1).at(0), "error")});
    auto refused =
        Scene::report((scene.submit(scene.draw("third", "more limit=1")), scene.claim(1).at(0)), "failed");
    refused.retryable = false;
    scene.apply({refused});
    scene.submit(scene.draw("fourth", "still once limit=3"));
    scene.apply({Scene::report(scene.claim(1).at(0), "failed")});
    EXPECT_EQ(dead_letters(), "retries_exhausted@1");
}

TEST_F(Orphan, AHandlerThatStillRunsIsAnOrphanForItsPolicy) {
    auto stuck = Scene::report(begin("pay dead_letter limit=5"), "failed");
    stuck.handler_stopped = false;
    scene.apply({stuck});
    EXPECT_EQ(dead_letters(), "handler_still_running@1");
}

TEST_F(Orphan, ARequestTooLargeIsADeadLetter) {
    const auto step = begin("only");
    ports::TurnInput input;
    input.hand_backs = {Scene::hand_back(step, "request_too_large")};
    scene.turn(input);
    EXPECT_EQ(scene.state_of(step.step_id), "error");
    EXPECT_EQ(dead_letters(), "request_too_large@1");
}

TEST_F(Orphan, AnUnusableOutputEndsTheStepAndKeepsTheWorkersWord) {
    auto unusable = Scene::report(begin("only limit=3"));
    unusable.unusable = true;
    unusable.output_json.clear();
    unusable.error_json = R"({"message":"cannot be stored","error_code":"unstorable_output"})";
    EXPECT_EQ(scene.apply({unusable}), "applied");
    EXPECT_EQ(scene.one("SELECT state || ' ' || (error->>'error_code') FROM tasker_workflow_steps"),
              "error unstorable_output");
    EXPECT_EQ(scene.one("SELECT final_status FROM tasker_step_execution_batch_steps"), "completed");
    EXPECT_EQ(dead_letters(), "");
}

TEST_F(Orphan, AStartIsGrantedAndGrantedAgainWhileItsAttemptIsCurrent) {
    const auto step = begin("only");
    EXPECT_EQ(ask(step).starts.at(0).refusal, "");
    const auto granted = scene.one("SELECT granted_at FROM tasker_step_execution_batch_steps");
    EXPECT_EQ(ask(step).starts.at(0).refusal, "") << "the answer may have been lost";
    EXPECT_EQ(scene.one("SELECT granted_at FROM tasker_step_execution_batch_steps"), granted);
}

TEST_F(Orphan, AStartIsRefusedWhenItsAttemptIsOver) {
    const auto first = begin("only");
    lose(first);
    EXPECT_EQ(ask(first).starts.at(0).refusal, "ended");
    const auto second = scene.claim(1).at(0);
    EXPECT_EQ(ask(first).starts.at(0).refusal, "stale_attempt");
    EXPECT_EQ(ask(second).starts.at(0).refusal, "");
    EXPECT_EQ(
        scene.number("SELECT count(*) FROM tasker_step_execution_batch_steps WHERE granted_at IS NOT NULL"),
        1);
}

TEST_F(Orphan, AStartAndItsLossInOneTurnGiveNoGrant) {
    const auto step = begin("only");
    ports::TurnInput input;
    input.starts = {start(step)};
    input.orphans = {orphan(step)};
    EXPECT_EQ(scene.turn(input).starts.at(0).refusal, "ended");
    EXPECT_EQ(
        scene.number("SELECT count(*) FROM tasker_step_execution_batch_steps WHERE granted_at IS NOT NULL"),
        0);
}

TEST_F(Orphan, AClaimOfATaskThatSomebodyHoldsIsLookedForAgain) {
    task = scene.submit(scene.draw("single", "only"));
    postgres::Connection other(scene.url(), {});
    other.execute("BEGIN; SELECT 1 FROM tasker_tasks FOR UPDATE");
    const auto result = scene.turn(scene.claiming({{"s1", 1}}));
    EXPECT_TRUE(result.claims.empty());
    EXPECT_EQ(result.keys_locked, std::vector<std::int32_t>{scene.key_of("Work")});
    other.execute("ROLLBACK");
    EXPECT_EQ(scene.claim(1).size(), 1U);
}

TEST_F(Orphan, ATurnThatNeedsALockedTaskSaysSoSoon) {
    const auto step = begin("only");
    postgres::Connection other(scene.url(), {});
    other.execute("BEGIN; SELECT 1 FROM tasker_tasks FOR UPDATE");
    ports::TurnInput input;
    input.messages = {Scene::report(step)};
    try {
        scene.turn(input);
        ADD_FAILURE() << "it cannot have been written";
    } catch (const ports::DatabaseError& error) {
        EXPECT_EQ(error.fault(), ports::DatabaseFault::locked) << error.what();
    }
    other.execute("ROLLBACK");
    EXPECT_EQ(scene.apply({Scene::report(step)}), "applied");
}

}  // namespace
}  // namespace tasker::store
