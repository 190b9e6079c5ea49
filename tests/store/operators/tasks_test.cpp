// tasker_cancel_task and tasker_retry_task.
#include <gtest/gtest.h>

#include "tests/store/operators/operator_scene.hpp"

namespace tasker::api {
namespace {

class TaskOperations : public ::testing::Test {
  protected:
    void TearDown() override { EXPECT_EQ(scene.found_by_checks(), ""); }

    nlohmann::json cancel(std::int64_t task) {
        return scene.call("tasker_cancel_task(" + std::to_string(task) + ", 'withdrawn', 'ann')");
    }
    nlohmann::json retry(std::int64_t task) {
        return scene.call("tasker_retry_task(" + std::to_string(task) + ")");
    }
    std::string states(std::int64_t task) {
        return scene.list("SELECT state FROM tasker_workflow_steps WHERE task_id = " + std::to_string(task) +
                          " ORDER BY workflow_step_id");
    }

    OperatorScene scene;
};

TEST_F(TaskOperations, CancelOfANewTaskStartsNothingOfIt) {
    const auto task = scene.submit(scene.draw("chain", "a\nb <- a\nc <- b"));
    const auto other = scene.submit(scene.draw("single", "z"));
    const auto row = cancel(task);
    EXPECT_EQ(told_by(row), "done");
    EXPECT_EQ(row["changed_steps"].size(), 3U);
    EXPECT_EQ(states(task), "cancelled cancelled cancelled");
    EXPECT_EQ(scene.task_history(task), "create=pending cancel=cancelled");
    EXPECT_EQ(scene.one("SELECT metadata FROM tasker_task_transitions WHERE event = 'cancel'"),
              R"({"actor": "ann", "reason": "withdrawn"})");
    EXPECT_EQ(scene.take_step("z").task_id, other);
}

TEST_F(TaskOperations, CancelOfARunningTaskKeepsWhatIsDone) {
    const auto task = scene.submit(scene.draw("chain", "a\nb <- a\nc <- b"));
    scene.answer(scene.take_step("a"), "completed");
    const auto b = scene.take_step("b");
    const auto row = cancel(task);
    EXPECT_EQ(row["message"],
              "task " + std::to_string(task) +
                  " is cancelled, with 2 of its steps (1 out at workers, which will be told)");
    EXPECT_EQ(states(task), "complete cancelled cancelled");
    EXPECT_EQ(scene.found_by_checks(), "");
    EXPECT_EQ(scene.answer(b, "completed"), "late");
    EXPECT_EQ(scene.task_state(task), "cancelled");
}

TEST_F(TaskOperations, CancelOfAFailedTaskClosesItsDeadLetters) {
    const auto task = scene.submit(scene.draw("pair", "a limit=1\nb <- a"));
    scene.exhaust("a");
    EXPECT_EQ(told_by(cancel(task)), "done");
    EXPECT_EQ(states(task), "error cancelled");
    EXPECT_EQ(scene.task_history(task), "create=pending start=in_progress fail=error cancel=cancelled");
    EXPECT_EQ(scene.one("SELECT resolution || ' by ' || resolved_by || ': ' || resolution_reason FROM "
                        "tasker_dead_letters"),
              "cancelled by ann: withdrawn");
    EXPECT_EQ(scene.told("tasker_retry_step(" + std::to_string(scene.step_id(task, "a")) + ")"),
              "refused:task_cancelled");
    EXPECT_EQ(scene.told("tasker_resolve_step(" + std::to_string(scene.step_id(task, "a")) + ")"),
              "refused:task_cancelled");
    EXPECT_EQ(told_by(retry(task)), "refused:task_cancelled");
}

TEST_F(TaskOperations, CancelAgainIsNoFault) {
    const auto task = scene.submit(scene.draw("single", "a"));
    cancel(task);
    EXPECT_EQ(told_by(cancel(task)), "unchanged:already_cancelled");
    EXPECT_EQ(scene.task_history(task), "create=pending cancel=cancelled");
}

TEST_F(TaskOperations, CancelTellsThoseWhoWaitAndTheOrchestrator) {
    const auto task = scene.submit(scene.draw("single", "a"));
    postgres::Connection waiting(scene.url());
    waiting.listen("tasker_done");
    EXPECT_EQ(scene.wakes_of("tasker_cancel_task(" + std::to_string(task) + ")"), "scan");
    waiting.execute("SELECT 1");
    const auto told = waiting.take_notifications();
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].payload, std::to_string(task));
}

TEST_F(TaskOperations, RetryRevivesEveryStepInError) {
    const auto task = scene.submit(scene.draw("three", "a @A\nb @B limit=1\nc @C\nd <- a b c"));
    for (const auto& claim : scene.take()) {
        scene.answer(claim, claim.name == "a" ? "error" : claim.name == "b" ? "failed" : "completed");
    }
    EXPECT_EQ(scene.task_state(task), "error");
    const auto row = retry(task);
    EXPECT_EQ(told_by(row), "done");
    EXPECT_EQ(row["ready_steps"], nlohmann::json({scene.step_id(task, "a"), scene.step_id(task, "b")}));
    EXPECT_EQ(states(task), "pending pending complete pending");
    EXPECT_EQ(scene.one("SELECT resolution FROM tasker_dead_letters"), "replayed");
    EXPECT_EQ(told_by(retry(task)), "unchanged:nothing_in_error");
    for (const auto& claim : scene.take()) scene.answer(claim, "completed");
    scene.answer(scene.take_step("d"), "completed");
    EXPECT_EQ(scene.task_state(task), "complete");
    EXPECT_EQ(told_by(retry(task)), "refused:wrong_state");
    EXPECT_EQ(told_by(cancel(task)), "refused:wrong_state");
}

TEST_F(TaskOperations, RetryOfATaskThatHasNotFailedChangesNothing) {
    const auto task = scene.submit(scene.draw("single", "a"));
    EXPECT_EQ(told_by(retry(task)), "unchanged:nothing_in_error");
    EXPECT_EQ(scene.task_history(task), "create=pending");
}

TEST_F(TaskOperations, KnowNoOtherTask) {
    EXPECT_EQ(told_by(cancel(4711)), "not_found:unknown_task");
    EXPECT_EQ(told_by(retry(4711)), "not_found:unknown_task");
}

// On tables never analysed, where a bad plan compares every step with every step.
TEST_F(TaskOperations, ManyStepsAreRetriedAndCancelledAtOnce) {
    std::string drawing;
    for (int i = 0; i < 5000; ++i) drawing += "s" + std::to_string(i) + " once\n";
    const auto task = scene.submit(scene.draw("wide", drawing));
    auto input = scene.claiming({{"s1", 5000}});
    input.batch_size = 5000;
    ports::TurnInput reports;
    for (const auto& claim : scene.turn(input).claims)
        reports.messages.push_back(Scene::report(claim, "error"));
    ports::BatchChange change;
    change.batch_id = reports.messages.at(0).batch_id;
    change.to = core::BatchState::failed;
    change.transitions = 2;
    change.partials = 5000;
    reports.batches = {change};
    scene.turn(reports);
    scene.execute("SET statement_timeout = '2s'");
    EXPECT_EQ(retry(task)["changed_steps"].size(), 5000U);
    EXPECT_EQ(cancel(task)["changed_steps"].size(), 5000U);
}

}  // namespace
}  // namespace tasker::api
