// A handler asks to be called again later: no attempt is used up, and the step waits as long as was asked.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/store/turn/scene.hpp"

namespace tasker::store {
namespace {

using ::testing::HasSubstr;

class SnoozeTurn : public ::testing::Test {
  protected:
    ports::ClaimedStep begin(const std::string& drawing) {
        task = scene.submit(scene.draw("template" + std::to_string(++drawn), drawing));
        return scene.claim(1).at(0);
    }
    ports::TurnResult snooze(const ports::ClaimedStep& claim, double seconds, int max = 1000,
                             const std::string& message = "") {
        ports::TurnInput input;
        input.snoozes = {
            {claim.batch_id, claim.step_id, claim.task_id, claim.attempt, seconds, max, message}};
        return scene.turn(input);
    }
    /// Moves what is due, and claims it.
    std::vector<ports::ClaimedStep> claim_due() {
        auto input = scene.claiming({{"s1", 5}});
        input.due = true;
        return scene.turn(input).claims;
    }
    std::string step_facts() {
        return scene.one(
            "SELECT concat_ws(' ', state, attempts, unstarted_attempts, snoozes) FROM tasker_workflow_steps"
            " WHERE task_id = " +
            std::to_string(task));
    }
    std::string history(const std::string& column) {
        return scene.list("SELECT " + column + " FROM tasker_workflow_step_transitions WHERE task_id = " +
                          std::to_string(task) + " ORDER BY sort_key");
    }
    std::string unbroken() {
        return scene.list(
            "SELECT workflow_step_id FROM tasker_workflow_steps s WHERE attempts <> (SELECT count(*) FROM "
            "tasker_workflow_step_transitions h WHERE h.workflow_step_id = s.workflow_step_id AND to_state = "
            "'in_progress')");
    }

    Scene scene;
    std::int64_t task = 0;
    int drawn = 0;
};

TEST_F(SnoozeTurn, CostsNoAttemptAndWaitsExactlySoLong) {
    const auto step = begin("only limit=1");
    snooze(step, 3600, 1000, "the bank is closed");
    EXPECT_EQ(step_facts(), "pending 1 1 1");
    EXPECT_EQ(
        scene.one(
            "SELECT s.next_attempt_at - h.created_at FROM tasker_workflow_steps s "
            "JOIN tasker_workflow_step_transitions h USING (workflow_step_id) WHERE event = 'hand_back'"),
        "01:00:00")
        << "without jitter";
    EXPECT_EQ(scene.one("SELECT ready_key IS NULL FROM tasker_workflow_steps"), "t");
    EXPECT_TRUE(claim_due().empty()) << "its time has not come";
    EXPECT_EQ(history("event"), "create claim hand_back");
    EXPECT_EQ(
        scene.one("SELECT metadata->>'reason' || ' ' || (metadata->>'wait_seconds') || ' ' || "
                  "(metadata->>'message') FROM tasker_workflow_step_transitions WHERE event = 'hand_back'"),
        "snoozed 3600 the bank is closed");
    EXPECT_EQ(scene.one("SELECT final_status || ' ' || (metadata->>'reason') FROM "
                        "tasker_step_execution_batch_steps"),
              "handed_back snoozed");
    EXPECT_EQ(scene.task_state(task), "in_progress");
    EXPECT_EQ(unbroken(), "");
}

TEST_F(SnoozeTurn, IsDeliveredAgainWhenItsTimeHasComeAndTheLimitStillHolds) {
    auto step = begin("only limit=2");
    for (int round = 1; round <= 3; ++round) {
        EXPECT_EQ(step.attempt, round);
        EXPECT_EQ(step.tries_left, 1) << "a snooze lowers nothing";
        snooze(step, 0);
        step = claim_due().at(0);
    }
    EXPECT_EQ(scene.apply({Scene::report(step, "failed")}), "applied");
    step = claim_due().at(0);
    EXPECT_EQ(step.tries_left, 0) << "a failure does";
    snooze(step, 0);
    step = claim_due().at(0);
    EXPECT_EQ(step.tries_left, 0);
    EXPECT_EQ(scene.apply({Scene::report(step, "failed")}), "applied");
    EXPECT_EQ(step_facts(), "error 6 4 4");
    EXPECT_EQ(scene.list("SELECT reason FROM tasker_dead_letters"), "retries_exhausted");
}

TEST_F(SnoozeTurn, BeyondTheLimitEndsInErrorForThatReason) {
    auto step = begin("only");
    snooze(step, 0, 1);
    step = claim_due().at(0);
    const auto result = snooze(step, 0, 1, "still closed");
    EXPECT_EQ(step_facts(), "error 2 1 1");
    EXPECT_EQ(scene.task_state(task), "error");
    ASSERT_EQ(result.tasks.size(), 1U);
    EXPECT_EQ(result.tasks[0].state, "error");
    EXPECT_EQ(history("event"), "create claim hand_back claim fail");
    EXPECT_EQ(scene.one("SELECT error->>'error_code' FROM tasker_workflow_steps"), "snoozes_exhausted");
    EXPECT_THAT(scene.one("SELECT error->>'message' FROM tasker_workflow_steps"),
                HasSubstr("more often than max_snoozes allows (1): still closed"));
    EXPECT_EQ(scene.list("SELECT reason || '@' || attempt FROM tasker_dead_letters"), "snoozes_exhausted@2");
    EXPECT_EQ(unbroken(), "");
    // An operator who retries it gives it as many snoozes again.
    scene.execute("SELECT tasker_retry_step(" + std::to_string(step.step_id) + ")");
    EXPECT_EQ(step_facts(), "pending 2 1 0");
}

TEST_F(SnoozeTurn, WithALimitOfNoneTheFirstEndsInError) {
    snooze(begin("only"), 5, 0);
    EXPECT_EQ(step_facts(), "error 1 0 0");
}

TEST_F(SnoozeTurn, OfACancelledStepEndsItsDeliveryOnly) {
    const auto step = begin("only");
    scene.execute("SELECT tasker_cancel_task(" + std::to_string(task) + ")");
    snooze(step, 60);
    EXPECT_EQ(scene.state_of(step.step_id), "cancelled");
    EXPECT_EQ(scene.one("SELECT final_status FROM tasker_step_execution_batch_steps"), "handed_back");
}

TEST_F(SnoozeTurn, OfAReportedOrOldDeliveryDoesNothingAndTwiceCountsOnce) {
    const auto first = begin("only");
    snooze(first, 0);
    snooze(first, 0);
    EXPECT_EQ(step_facts(), "pending 1 1 1");
    const auto second = claim_due().at(0);
    snooze(first, 60);
    EXPECT_EQ(step_facts(), "in_progress 2 1 1");
    scene.apply({Scene::report(second)});
    snooze(second, 60);
    EXPECT_EQ(step_facts(), "complete 2 1 1");
}

TEST_F(SnoozeTurn, ALaneReadsItsBatchBackAsSnoozed) {
    const auto step = begin("only");
    ports::TurnInput input;
    input.running = {{step.batch_id, step.step_id, 300}};
    scene.turn(input);
    snooze(step, 60);
    const auto stored = scene.store().load_batch(step.batch_uuid);
    ASSERT_TRUE(stored && stored->steps.size() == 1);
    EXPECT_TRUE(stored->steps[0].started && stored->steps[0].snoozed);
}

TEST_F(SnoozeTurn, TriesLeftCountsAttemptsNotDeliveries) {
    auto step = begin("only limit=3");
    EXPECT_EQ(step.tries_left, 2);
    ports::TurnInput input;
    input.hand_backs = {Scene::hand_back(step)};
    scene.turn(input);
    step = scene.claim(1).at(0);
    EXPECT_EQ(step.attempt, 2);
    EXPECT_EQ(step.tries_left, 2) << "a hand-back lowers nothing";
    scene.apply({Scene::report(step, "failed")});
    step = claim_due().at(0);
    EXPECT_EQ(step.tries_left, 1);
    EXPECT_EQ(scene.store().load_batch(step.batch_uuid)->steps.at(0).tries_left, 1)
        << "when it is sent again, too";
    EXPECT_EQ(begin("once limit=5 once").tries_left, 0) << "it must not be repeated";
}

}  // namespace
}  // namespace tasker::store
