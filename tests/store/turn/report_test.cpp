// What a report does to its step and task, and what it must not touch.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "orchestrator/ports/database_error.hpp"
#include "tests/store/turn/scene.hpp"

namespace tasker::store {
namespace {

class Report : public ::testing::Test {
  protected:
    void TearDown() override { EXPECT_EQ(scene.violations(), std::vector<std::string>{}); }

    // Two claims of the same step: attempt 1 has failed, attempt 2 runs.
    std::pair<ports::ClaimedStep, ports::ClaimedStep> two_attempts() {
        scene.submit(scene.draw("single", "only"));
        const auto first = scene.claim(1).at(0);
        scene.apply({Scene::report(first, "failed")});
        auto due = scene.claiming({{"s1", 1}});
        due.due = true;
        return {first, scene.turn(due).claims.at(0)};
    }
    std::string join_rows() {
        return scene.list(
            "SELECT final_status || '/' || (reported_at IS NOT NULL) FROM "
            "tasker_step_execution_batch_steps ORDER BY id");
    }
    std::string ledger() {
        return scene.list("SELECT disposition FROM tasker_step_execution_batch_received_results ORDER BY id");
    }

    Scene scene;
};

// With the commit or not at all: a turn that is not told to leaves that to the caretaker, and says so.
TEST_F(Report, TheEndOfATaskIsNotifiedWithTheTurnWhereItIsToldTo) {
    postgres::Connection listener(scene.url());
    listener.listen("tasker_done");
    const auto tasks = scene.submit_many(scene.draw("chain", "a\nb <- a\n"), 2);
    const auto steps = scene.claim(2);
    const auto run = [&](const ports::ClaimedStep& step, bool notify) {
        auto input = scene.claiming({{"s1", 1}});
        input.messages = {Scene::report(step)};
        input.notify_done = notify;
        return scene.turn(input);
    };
    const auto child = run(steps.at(0), true);
    EXPECT_TRUE(child.tasks.empty()) << "it goes on";
    const auto quiet = run(run(steps.at(1), true).claims.at(0), false);
    ASSERT_EQ(quiet.tasks.size(), 1U);
    EXPECT_FALSE(quiet.tasks[0].notified);
    const auto told = run(child.claims.at(0), true);
    ASSERT_EQ(told.tasks.size(), 1U);
    EXPECT_TRUE(told.tasks[0].notified);
    std::vector<std::string> payloads;
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (payloads.empty() && std::chrono::steady_clock::now() < limit) {
        for (const auto& notification : listener.take_notifications())
            payloads.push_back(notification.payload);
    }
    EXPECT_EQ(payloads, std::vector{std::to_string(tasks[0])});
}

TEST_F(Report, CompletedEndsTheStepAndTheTaskInOneTurn) {
    const auto task = scene.submit(scene.draw("single", "only"));
    const auto step = scene.claim(1).at(0);
    ports::TurnInput input;
    input.messages = {Scene::report(step)};
    const auto result = scene.turn(input);
    ASSERT_EQ(result.reports.size(), 1U);
    EXPECT_EQ(result.reports[0].index, 0U);
    EXPECT_EQ(result.reports[0].disposition, "applied");
    EXPECT_EQ(result.reports[0].new_state, "complete");
    ASSERT_EQ(result.tasks.size(), 1U);
    EXPECT_EQ(result.tasks[0].task_id, task);
    EXPECT_EQ(result.tasks[0].state, "complete");
    EXPECT_EQ(scene.one("SELECT results FROM tasker_workflow_steps"), R"({"by": "only"})");
    EXPECT_EQ(scene.one("SELECT processed_at IS NOT NULL AND error IS NULL FROM tasker_workflow_steps"), "t");
    EXPECT_EQ(join_rows(), "completed/true");
    EXPECT_EQ(ledger(), "applied");
    EXPECT_EQ(scene.one("SELECT raw_message_json::text FROM tasker_step_execution_batch_received_results"),
              R"({"message_type":"partial_result","status":"completed"})");
}

TEST_F(Report, FailedWaitsForRetryAsLongAsAskedAndKeepsTheError) {
    scene.submit(scene.draw("single", "only"));
    const auto step = scene.claim(1).at(0);
    auto failed = Scene::report(step, "failed");
    failed.backoff_seconds = 1.5;
    EXPECT_EQ(scene.apply({failed}), "applied");
    EXPECT_EQ(
        scene.one("SELECT state || ' ' || (error->>'message') || ' ' || backoff_request_seconds || ' ' || "
                  "extract(epoch FROM next_attempt_at - (SELECT max(created_at) FROM "
                  "tasker_workflow_step_transitions)) FROM tasker_workflow_steps"),
        "waiting_for_retry no luck 1.5 1.500000");
    EXPECT_EQ(scene.one("SELECT processed_at IS NULL FROM tasker_workflow_steps"), "t");
}

TEST_F(Report, AtTheLimitEndsInError) {
    const auto task = scene.submit(scene.draw("single", "only limit=2"));
    auto step = scene.claim(1).at(0);
    EXPECT_EQ(scene.apply({Scene::report(step, "failed")}), "applied");
    EXPECT_EQ(scene.task_state(task), "in_progress");
    auto due = scene.claiming({{"s1", 1}});
    due.due = true;
    step = scene.turn(due).claims.at(0);
    EXPECT_EQ(scene.apply({Scene::report(step, "failed")}), "applied");
    EXPECT_EQ(scene.state_of(step.step_id), "error");
    EXPECT_EQ(scene.task_state(task), "error");
    EXPECT_TRUE(scene.turn(due).claims.empty());
}

TEST_F(Report, OfAStepThatIsNotRetryableGetsItsFirstAttemptAndNoSecond) {
    const auto task = scene.submit(scene.draw("single", "only once"));
    const auto step = scene.claim(1).at(0);
    EXPECT_EQ(scene.apply({Scene::report(step, "failed")}), "applied");
    EXPECT_EQ(scene.state_of(step.step_id), "error");
    EXPECT_EQ(scene.task_state(task), "error");
}

TEST_F(Report, TwiceForOneStepInOneTurnAppliesOnce) {
    // The listener collapses reports before a turn; the database must not trust it to.
    scene.submit(scene.draw("chain", "a\nb <- a\n"));
    const auto step = scene.claim(1).at(0);
    auto again = Scene::report(step);
    again.message_class = ports::MessageClass::duplicate;
    EXPECT_EQ(scene.apply({Scene::report(step), again}), "applied");
    EXPECT_EQ(ledger(), "applied duplicate");
    EXPECT_EQ(scene.one("SELECT remaining_parents FROM tasker_workflow_steps WHERE name = 'b'"), "0");
}

// The listener calls the second one a duplicate (TurnDraft); if it ever did not, nothing may be applied
// twice.
TEST_F(Report, TwoFinalsForOneStepInOneTurnAreRefusedAsAWhole) {
    scene.submit(scene.draw("chain", "a\nb <- a\n"));
    const auto step = scene.claim(1).at(0);
    ports::TurnInput both;
    both.messages = {Scene::report(step), Scene::report(step, "failed")};
    EXPECT_THROW(scene.turn(both), ports::DatabaseError);
    EXPECT_EQ(scene.state_of(step.step_id), "in_progress");
    EXPECT_EQ(ledger(), "");
    EXPECT_EQ(scene.apply({Scene::report(step)}), "applied");
}

TEST_F(Report, ThatIsADuplicateLeavesTheRowsUntouched) {
    const auto task = scene.submit(scene.draw("single", "only"));
    const auto step = scene.claim(1).at(0);
    scene.apply({Scene::report(step)});
    const auto before = scene.step_row(step.step_id);
    const auto task_before =
        scene.one("SELECT t::text FROM tasker_tasks t WHERE task_id = " + std::to_string(task));
    const auto join_before = scene.one("SELECT bs::text FROM tasker_step_execution_batch_steps bs");
    EXPECT_EQ(scene.apply({Scene::report(step, "failed")}), "duplicate");
    EXPECT_EQ(scene.step_row(step.step_id), before);
    EXPECT_EQ(scene.one("SELECT t::text FROM tasker_tasks t WHERE task_id = " + std::to_string(task)),
              task_before);
    EXPECT_EQ(scene.one("SELECT bs::text FROM tasker_step_execution_batch_steps bs"), join_before);
    EXPECT_EQ(ledger(), "applied duplicate");
}

TEST_F(Report, OfAnOldAttemptLeavesTheNewOneUntouched) {
    const auto [first, second] = two_attempts();
    // Attempt 1 never reported as far as its join row knows: lost, then back with a success.
    scene.execute(
        "UPDATE tasker_step_execution_batch_steps SET reported_at = NULL, final_status = 'orphaned' "
        "WHERE attempt = 1");
    const auto before = scene.step_row(first.step_id);
    EXPECT_EQ(scene.apply({Scene::report(first)}), "stale_attempt");
    EXPECT_EQ(scene.step_row(first.step_id), before);
    EXPECT_EQ(scene.apply({Scene::report(second)}), "applied");
    EXPECT_EQ(scene.state_of(second.step_id), "complete");
}

TEST_F(Report, AfterTheStepWasCancelledIsLateAndChangesNothing) {
    scene.submit(scene.draw("single", "only"));
    const auto step = scene.claim(1).at(0);
    // As an operator's cancel leaves it.
    scene.execute("UPDATE tasker_workflow_steps SET state = 'cancelled', transition_count = 3");
    scene.execute(
        "INSERT INTO tasker_workflow_step_transitions SELECT workflow_step_id, task_id, 3, 'in_progress', "
        "'cancelled', 'cancel' FROM tasker_workflow_steps");
    scene.execute(
        "UPDATE tasker_tasks SET state = 'cancelled', movable_steps = 0, transition_count = 3, "
        "completed_at = now()");
    scene.execute(
        "INSERT INTO tasker_task_transitions SELECT task_id, 3, 'in_progress', 'cancelled', 'cancel' "
        "FROM tasker_tasks");
    const auto before = scene.step_row(step.step_id);
    const auto task_before = scene.one("SELECT t::text FROM tasker_tasks t");
    EXPECT_EQ(scene.apply({Scene::report(step)}), "late");
    EXPECT_EQ(scene.step_row(step.step_id), before);
    EXPECT_EQ(scene.one("SELECT t::text FROM tasker_tasks t"), task_before);
    EXPECT_EQ(join_rows(), "completed/true") << "the delivery is settled all the same";
    EXPECT_EQ(scene.apply({Scene::report(step)}), "duplicate");
}

TEST_F(Report, CompletedOfAStepGivenUpAsOrphanStillCompletesItWhileItWaitsForRetry) {
    const auto task = scene.submit(scene.draw("chain", "a\nb <- a\n"));
    const auto step = scene.claim(1).at(0);
    // As the loss of the session leaves it: due at once, in the ready index, its delivery not reported.
    scene.execute(
        "UPDATE tasker_workflow_steps SET state = 'waiting_for_retry', ready_key = handler_key, "
        "next_attempt_at = now(), transition_count = 3 WHERE name = 'a'");
    scene.execute(
        "INSERT INTO tasker_workflow_step_transitions SELECT workflow_step_id, task_id, 3, 'in_progress', "
        "'waiting_for_retry', 'await_retry' FROM tasker_workflow_steps WHERE name = 'a'");
    scene.execute("UPDATE tasker_step_execution_batch_steps SET final_status = 'orphaned'");
    EXPECT_EQ(scene.apply({Scene::report(step, "failed")}), "late") << "a failure changes nothing";
    scene.execute(
        "UPDATE tasker_step_execution_batch_steps SET final_status = 'orphaned', reported_at = NULL");
    EXPECT_EQ(scene.apply({Scene::report(step)}), "applied");
    EXPECT_EQ(scene.state_of(step.step_id), "complete");
    EXPECT_EQ(scene.claim(1).at(0).step_id, scene.step_id(task, "b"));
}

TEST_F(Report, OfAHandedBackStepIsLateAndItsDeliveryStaysHandedBack) {
    scene.submit(scene.draw("single", "only"));
    const auto step = scene.claim(1).at(0);
    ports::TurnInput input;
    input.hand_backs = {Scene::hand_back(step)};
    scene.turn(input);
    const auto before = scene.step_row(step.step_id);
    EXPECT_EQ(scene.apply({Scene::report(step)}), "late");
    EXPECT_EQ(scene.step_row(step.step_id), before);
    EXPECT_EQ(join_rows(), "handed_back/true");
    EXPECT_EQ(scene.claim(1).size(), 1U);
}

TEST_F(Report, ThatIsOnlyNotedOrUnknownIsInTheLedgerAndMovesNothing) {
    scene.submit(scene.draw("single", "only"));
    const auto step = scene.claim(1).at(0);
    const auto before = scene.step_row(step.step_id);
    auto noted = Scene::report(step, "in_progress");
    noted.message_class = ports::MessageClass::noted;
    auto unknown = Scene::report(step);
    unknown.message_class = ports::MessageClass::unknown;
    unknown.batch_step_id = unknown.step_id = unknown.task_id = 0;
    auto stale = Scene::report(step);
    stale.message_class = ports::MessageClass::stale;
    stale.step_id = stale.task_id = 0;
    auto completion = noted;
    completion.completion = true;
    completion.batch_step_id = completion.step_id = completion.task_id = 0;
    completion.raw = R"({"message_type":"batch_completion"})";
    EXPECT_EQ(scene.apply({noted, unknown, stale, completion}), "");
    EXPECT_EQ(ledger(), "noted unknown stale_attempt noted");
    EXPECT_EQ(scene.list("SELECT message_type FROM tasker_step_execution_batch_received_results ORDER BY id"),
              "partial_result partial_result partial_result batch_completion");
    EXPECT_EQ(scene.step_row(step.step_id), before);
    EXPECT_EQ(scene.apply({Scene::report(step)}), "applied");
}

TEST_F(Report, TextOfEveryKindReachesTheLedgerAsItCame) {
    scene.submit(scene.draw("single", "only"));
    const auto step = scene.claim(1).at(0);
    auto message = Scene::report(step);
    message.output_json =
        "{\"text\":\"quote \\\" backslash \\\\ brace { comma , NULL \\n \\u00e4 \xE2\x82\xAC\"}";
    message.raw = "{\"output\":" + message.output_json + ",\n  \"escaped\":\"\\u0000\" }";
    message.worker_id = "NULL";
    EXPECT_EQ(scene.apply({message}), "applied");
    EXPECT_EQ(scene.one("SELECT raw_message_json::text FROM tasker_step_execution_batch_received_results"),
              message.raw);
    EXPECT_EQ(scene.one("SELECT worker_id FROM tasker_step_execution_batch_received_results"), "NULL");
    EXPECT_EQ(scene.one("SELECT results->>'text' FROM tasker_workflow_steps"),
              "quote \" backslash \\ brace { comma , NULL \n \xC3\xA4 \xE2\x82\xAC");
}

TEST_F(Report, OfRunningSetsTheStartOnceFromItsAge) {
    scene.submit(scene.draw("single", "only"));
    const auto step = scene.claim(1).at(0);
    ports::TurnInput input;
    input.running = {{step.batch_id, step.step_id, 1500}};
    scene.turn(input);
    const auto started = scene.one("SELECT started_at FROM tasker_step_execution_batch_steps");
    EXPECT_EQ(scene.one("SELECT updated_at - started_at FROM tasker_step_execution_batch_steps"),
              "00:00:01.5");
    input.running = {{step.batch_id, step.step_id, 9000}};
    scene.turn(input);
    EXPECT_EQ(scene.one("SELECT started_at FROM tasker_step_execution_batch_steps"), started);
}

// ---------------------------------------------------------------------------------------- hand-backs

TEST_F(Report, HandBackCostsNoAttempt) {
    scene.submit(scene.draw("single", "only limit=1"));
    for (int round = 1; round <= 3; ++round) {
        const auto step = scene.claim(1).at(0);
        EXPECT_EQ(step.attempt, round) << "the fence never goes back";
        ports::TurnInput input;
        input.hand_backs = {Scene::hand_back(step)};
        scene.turn(input);
        EXPECT_EQ(
            scene.one(
                "SELECT state || ' ' || attempts || ' ' || unstarted_attempts FROM tasker_workflow_steps"),
            "pending " + std::to_string(round) + " " + std::to_string(round));
    }
    const auto step = scene.claim(1).at(0);
    EXPECT_EQ(step.attempt, 4);
    EXPECT_EQ(scene.apply({Scene::report(step, "failed")}), "applied");
    EXPECT_EQ(scene.state_of(step.step_id), "error") << "one counted attempt of one";
}

// A worker that hands back for a reason of its own must not keep a lane busy, nor hold its task for ever.
TEST_F(Report, HandBacksPauseForLongerAndEndTheStepAtLast) {
    const auto task = scene.submit(scene.draw("single", "only limit=1"));
    const auto pause_ms = [&] {
        return scene.number(
            "SELECT coalesce(extract(epoch FROM next_attempt_at - (SELECT max(created_at) FROM "
            "tasker_workflow_step_transitions)) * 1000, 0)::bigint FROM tasker_workflow_steps");
    };
    std::int64_t last = 0;
    for (int times = 1; times < 100; ++times) {
        const auto claimed = scene.claim(1);
        ASSERT_EQ(claimed.size(), 1U) << times;
        ports::TurnInput input;
        input.hand_backs = {Scene::hand_back(claimed[0], "lunch")};
        scene.turn(input);
        ASSERT_EQ(scene.state_of(claimed[0].step_id), "pending") << times;
        if (times <= 5) {
            ASSERT_EQ(pause_ms(), 0) << times;
            continue;
        }
        const auto pause = pause_ms();
        ASSERT_GE(pause, times == 6 ? 100 : last) << times;
        ASSERT_LE(pause, 60'000) << times;
        last = pause;
        ASSERT_TRUE(scene.claim(1).empty()) << "it pauses";
        ASSERT_EQ(scene.violations(), std::vector<std::string>{});
        scene.execute("UPDATE tasker_workflow_steps SET next_attempt_at = now()");
        ports::TurnInput due;
        due.due = true;
        scene.turn(due);
    }
    EXPECT_EQ(last, 60'000);
    const auto step = scene.claim(1).at(0);
    ports::TurnInput input;
    input.hand_backs = {Scene::hand_back(step, "lunch")};
    scene.turn(input);
    EXPECT_EQ(scene.state_of(step.step_id), "error");
    EXPECT_EQ(scene.task_state(task), "error");
    EXPECT_EQ(scene.one("SELECT error ->> 'message' FROM tasker_workflow_steps"),
              "workers handed the step back 100 times without starting it, the last time because of lunch");
    EXPECT_EQ(scene.one("SELECT reason || '@' || attempt FROM tasker_dead_letters"),
              "handed_back_too_often@100");
    // An operator's retry begins anew.
    scene.execute("SELECT tasker_retry_step(" + std::to_string(step.step_id) + ")");
    const auto again = scene.claim(1).at(0);
    input.hand_backs = {Scene::hand_back(again, "lunch")};
    scene.turn(input);
    EXPECT_EQ(scene.state_of(step.step_id), "pending");
    EXPECT_EQ(scene.claim(1).size(), 1U) << "at once";
}

TEST_F(Report, WhatWasNeverSentEndsNoStep) {
    scene.submit(scene.draw("single", "only"));
    auto step = scene.claim(1).at(0);
    scene.execute("UPDATE tasker_workflow_steps SET attempts = 100, unstarted_attempts = 99");
    step.attempt = 100;
    ports::TurnInput input;
    input.hand_backs = {Scene::hand_back(step, "undelivered")};
    scene.turn(input);
    EXPECT_EQ(scene.state_of(step.step_id), "pending");
    // So that the history agrees again.
    scene.execute("UPDATE tasker_workflow_steps SET attempts = 1, unstarted_attempts = 1");
}

TEST_F(Report, HandBackOfAReportedOrOldDeliveryDoesNothing) {
    const auto [first, second] = two_attempts();
    const auto before = scene.step_row(first.step_id);
    ports::TurnInput input;
    input.hand_backs = {Scene::hand_back(first)};
    scene.turn(input);
    EXPECT_EQ(scene.step_row(first.step_id), before);
    scene.apply({Scene::report(second)});
    const auto after = scene.step_row(first.step_id);
    input.hand_backs = {Scene::hand_back(second)};
    scene.turn(input);
    EXPECT_EQ(scene.step_row(first.step_id), after);
    EXPECT_EQ(join_rows(), "failed/true completed/true");
}

TEST_F(Report, HandBackTwiceInOneTurnAndAgainCountsOnce) {
    scene.submit(scene.draw("single", "only"));
    const auto step = scene.claim(1).at(0);
    ports::TurnInput input;
    input.hand_backs = {Scene::hand_back(step), Scene::hand_back(step)};
    scene.turn(input);
    EXPECT_EQ(scene.one("SELECT unstarted_attempts FROM tasker_workflow_steps"), "1");
    const auto again = scene.claim(1).at(0);
    scene.turn(input);
    EXPECT_EQ(scene.state_of(again.step_id), "in_progress") << "the old delivery is not the running one";
}

TEST_F(Report, HandBackCanBeClaimedByTheSameTurn) {
    scene.submit(scene.draw("single", "only"));
    const auto step = scene.claim(1).at(0);
    auto input = scene.claiming({{"s2", 1}});
    input.hand_backs = {Scene::hand_back(step)};
    for (auto& key : input.keys) key.scan = false;
    const auto claims = scene.turn(input).claims;
    ASSERT_EQ(claims.size(), 1U);
    EXPECT_EQ(claims[0].attempt, 2);
}

TEST_F(Report, RequestThatIsTooLargeEndsItsStepAndTheTask) {
    const auto task = scene.submit(scene.draw("chain", "a\nb <- a\n"));
    const auto step = scene.claim(1).at(0);
    ports::TurnInput input;
    input.hand_backs = {Scene::hand_back(step, "request_too_large")};
    const auto result = scene.turn(input);
    EXPECT_EQ(scene.state_of(step.step_id), "error");
    EXPECT_EQ(scene.one("SELECT error->>'error_code' FROM tasker_workflow_steps WHERE name = 'a'"),
              "request_too_large");
    EXPECT_EQ(scene.list("SELECT event FROM tasker_workflow_step_transitions WHERE workflow_step_id = " +
                         std::to_string(step.step_id) + " ORDER BY sort_key"),
              "create claim hand_back request_too_large");
    EXPECT_EQ(scene.task_state(task), "error");
    ASSERT_EQ(result.tasks.size(), 1U);
    EXPECT_EQ(result.tasks[0].state, "error");
}

}  // namespace
}  // namespace tasker::store
