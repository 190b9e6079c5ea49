// tasker_retry_step, tasker_resolve_step, tasker_cancel_step: what each does to steps, task and counters.
#include <gtest/gtest.h>

#include "tests/store/operators/operator_scene.hpp"

namespace tasker::api {
namespace {

class StepOperations : public ::testing::Test {
  protected:
    void TearDown() override { EXPECT_EQ(scene.found_by_checks(), ""); }

    static std::string on(const char* function, std::int64_t id, const std::string& more = "") {
        return std::string(function) + "(" + std::to_string(id) + more + ")";
    }
    std::string column(std::int64_t step, const std::string& name) {
        return scene.one("SELECT " + name +
                         " FROM tasker_workflow_steps WHERE workflow_step_id = " + std::to_string(step));
    }
    std::string counters(std::int64_t task) {
        return scene.one(
            "SELECT open_steps || ' open ' || movable_steps || ' movable' FROM tasker_tasks "
            "WHERE task_id = " +
            std::to_string(task));
    }

    OperatorScene scene;
};

TEST_F(StepOperations, RetryLetsAFailedTaskRunToItsEnd) {
    const auto task = scene.submit(scene.draw("pair", "a limit=2\nb <- a"));
    const auto failed = scene.fail("a");
    EXPECT_EQ(scene.task_state(task), "error");
    const auto row = scene.call(on("tasker_retry_step", failed.step_id, ", NULL, 'bank is back', 'ann'"));
    EXPECT_EQ(told_by(row), "done");
    EXPECT_EQ(row["task_state"], "in_progress");
    EXPECT_EQ(row["state"], "pending");
    EXPECT_EQ(row["ready_steps"], nlohmann::json({failed.step_id}));
    EXPECT_EQ(counters(task), "2 open 1 movable");
    EXPECT_EQ(column(failed.step_id, "retry_limit"), "3") << "one used, and two more";
    EXPECT_EQ(column(failed.step_id, "ready_key"), std::to_string(scene.key_of("Work")));
    EXPECT_EQ(column(failed.step_id, "processed_at"), "");
    EXPECT_EQ(scene.one("SELECT completed_at FROM tasker_tasks"), "");
    EXPECT_EQ(scene.one("SELECT metadata FROM tasker_workflow_step_transitions WHERE event = 'retry'"),
              R"({"actor": "ann", "reason": "bank is back"})");
    EXPECT_EQ(scene.found_by_checks(), "");
    EXPECT_EQ(scene.answer(scene.take_step("a"), "completed"), "applied");
    EXPECT_EQ(scene.answer(scene.take_step("b"), "completed"), "applied");
    EXPECT_EQ(scene.task_history(task),
              "create=pending start=in_progress fail=error reopen=in_progress complete=complete");
}

TEST_F(StepOperations, RetryGivesAsManyAttemptsAsTheTemplate) {
    scene.submit(scene.draw("single", "a limit=2"));
    scene.exhaust("a");
    const auto step = scene.number("SELECT workflow_step_id FROM tasker_workflow_steps");
    EXPECT_EQ(scene.told(on("tasker_retry_step", step)), "done");
    scene.exhaust("a");
    EXPECT_EQ(column(step, "attempts"), "4");
    EXPECT_EQ(scene.told(on("tasker_retry_step", step)), "done");
    EXPECT_EQ(column(step, "retry_limit"), "6");
}

TEST_F(StepOperations, RetryGivesExactlyAsManyAttemptsHoweverManyWereLeft) {
    scene.submit(scene.draw("single", "a limit=3"));
    const auto step = scene.fail("a");
    EXPECT_EQ(scene.call(on("tasker_retry_step", step.step_id))["message"],
              "step " + std::to_string(step.step_id) + " (a) of task " + std::to_string(step.task_id) +
                  " is ready again and may take 3 more attempts");
    EXPECT_EQ(column(step.step_id, "retry_limit"), "4");
    // One that no worker started does not count.
    scene.give_back(scene.take_step("a"));
    scene.exhaust("a");
    EXPECT_EQ(column(step.step_id, "attempts - unstarted_attempts"), "4");
    EXPECT_EQ(scene.told(on("tasker_retry_step", step.step_id)), "done");
    EXPECT_EQ(column(step.step_id, "retry_limit"), "7");
}

TEST_F(StepOperations, ResolveRefusesResultsThatNoRequestCanCarry) {
    scene.submit(scene.draw("pair", "a\nb <- a"));
    const auto step = scene.fail("a").step_id;
    const std::string deep = std::string(59, '[') + std::string(59, ']');
    for (const std::string& results : {deep, std::string("[1e131071]")}) {
        try {
            scene.call(on("tasker_resolve_step", step, ", '" + results + "'"));
            ADD_FAILURE() << results;
        } catch (const postgres::DatabaseError& error) {
            EXPECT_EQ(error.sqlstate(), "22023");
            EXPECT_NE(std::string(error.what()).find("results: "), std::string::npos) << error.what();
        }
    }
    EXPECT_EQ(scene.told(on("tasker_resolve_step", step, ", '" + deep.substr(1, 116) + "'")), "done");
}

TEST_F(StepOperations, RetryGivesAStepThatMustNotBeRetriedOneAttempt) {
    scene.submit(scene.draw("single", "a limit=3 once"));
    const auto step = scene.take_step("a");
    scene.answer(step, "failed");
    for (int attempt = 2; attempt <= 3; ++attempt) {
        EXPECT_EQ(scene.call(on("tasker_retry_step", step.step_id))["message"],
                  "step " + std::to_string(step.step_id) + " (a) of task " + std::to_string(step.task_id) +
                      " is ready again and may take one more attempt");
        scene.answer(scene.take_step("a"), "failed");
        EXPECT_EQ(scene.state_of(step.step_id), "error");
        EXPECT_EQ(column(step.step_id, "attempts"), std::to_string(attempt));
    }
}

TEST_F(StepOperations, RetryOfAStepOfARunningTaskLeavesTheTaskRunning) {
    const auto task = scene.submit(scene.draw("two", "a\nb"));
    const auto claims = scene.take();
    scene.answer(claims[0], "error");
    EXPECT_EQ(scene.told(on("tasker_retry_step", claims[0].step_id)), "done");
    EXPECT_EQ(scene.task_history(task), "create=pending start=in_progress");
    EXPECT_EQ(counters(task), "2 open 2 movable");
    scene.answer(claims[1], "completed");
}

TEST_F(StepOperations, RetryRefusesWhenTheStepHasMovedOn) {
    scene.submit(scene.draw("single", "a"));
    const auto step = scene.fail("a").step_id;
    EXPECT_EQ(scene.told(on("tasker_retry_step", step, ", 2")), "refused:attempt_moved_on");
    EXPECT_EQ(scene.told(on("tasker_retry_step", step, ", 1")), "done");
    EXPECT_EQ(scene.told(on("tasker_retry_step", step, ", 1")), "unchanged:already_retried");
    scene.take_step("a");
    EXPECT_EQ(scene.told(on("tasker_retry_step", step, ", 1")), "refused:attempt_moved_on");
    EXPECT_EQ(scene.told(on("tasker_retry_step", step)), "refused:wrong_state");
}

TEST_F(StepOperations, RetryOfARequestTooLargeClosesItsDeadLetter) {
    scene.submit(scene.draw("single", "a"));
    const auto step = scene.take_step("a");
    scene.give_back(step, "request_too_large");
    EXPECT_EQ(scene.found_by_checks(), "");
    const auto row = scene.call(on("tasker_retry_step", step.step_id));
    EXPECT_EQ(told_by(row), "done");
    EXPECT_EQ(scene.one("SELECT dead_letter_id || resolution FROM tasker_dead_letters"),
              row["dead_letter_id"].dump() + "replayed");
}

TEST_F(StepOperations, ResolveFeedsTheChildren) {
    //   a
    //  / \ .
    // b   c     c also waits for d
    const auto task = scene.submit(scene.draw("fan", "a\nd\nb @Other <- a\nc <- a d"));
    const auto a = scene.fail("a").step_id;
    const auto row =
        scene.call(on("tasker_resolve_step", a, R"(, '{"paid": 17.50}', 'paid by hand', 'ann')"));
    EXPECT_EQ(told_by(row), "done");
    EXPECT_EQ(row["state"], "resolved_manually");
    EXPECT_EQ(row["ready_steps"], nlohmann::json({scene.step_id(task, "b")}));
    EXPECT_EQ(counters(task), "3 open 2 movable");
    EXPECT_EQ(column(a, "results"), R"({"paid": 17.50})");
    EXPECT_EQ(column(scene.step_id(task, "c"), "remaining_parents"), "1");
    EXPECT_EQ(scene.found_by_checks(), "");
    for (const auto& claim : scene.take()) {
        if (claim.name == "b") {
            EXPECT_EQ(claim.previous_results_json, R"({ "a" : {"paid": 17.50} })");
        }
        scene.answer(claim, "completed");
    }
    scene.answer(scene.take_step("c"), "completed");
    EXPECT_EQ(scene.task_state(task), "complete");
}

TEST_F(StepOperations, ResolveOfTheLastStepCompletesItsTask) {
    const auto task = scene.submit(scene.draw("single", "a"));
    const auto a = scene.fail("a").step_id;
    EXPECT_EQ(scene.call(on("tasker_resolve_step", a))["task_state"], "complete");
    EXPECT_EQ(scene.task_history(task),
              "create=pending start=in_progress fail=error reopen=in_progress complete=complete");
    EXPECT_EQ(scene.step_history(a),
              "create=pending claim=in_progress fail=error "
              "resolve_manually=resolved_manually");
    EXPECT_EQ(column(a, "results"), "");
}

TEST_F(StepOperations, ResolveOfOneOfTwoFailedStepsLeavesTheTaskInError) {
    const auto task = scene.submit(scene.draw("two", "a\nb"));
    for (const auto& claim : scene.take()) scene.answer(claim, "error");
    EXPECT_EQ(scene.call(on("tasker_resolve_step", scene.step_id(task, "a")))["task_state"], "error");
    EXPECT_EQ(scene.task_history(task),
              "create=pending start=in_progress fail=error reopen=in_progress fail=error");
    EXPECT_EQ(counters(task), "1 open 0 movable");
}

TEST_F(StepOperations, ResolveBesideACancelledBranchEndsInCancelled) {
    const auto task = scene.submit(scene.draw("two", "a\nb"));
    const auto claims = scene.take();
    scene.answer(claims[0], "error");
    EXPECT_EQ(scene.told(on("tasker_cancel_step", claims[1].step_id)), "done");
    EXPECT_EQ(scene.task_state(task), "error");
    EXPECT_EQ(scene.call(on("tasker_resolve_step", claims[0].step_id))["task_state"], "cancelled");
    EXPECT_EQ(scene.answer(claims[1], "completed"), "late");
}

TEST_F(StepOperations, ResolveAgainIsNoFaultUnlessTheResultsDiffer) {
    scene.submit(scene.draw("single", "a"));
    const auto a = scene.fail("a").step_id;
    EXPECT_EQ(scene.told(on("tasker_resolve_step", a, ", '[1]'")), "done");
    EXPECT_EQ(scene.told(on("tasker_resolve_step", a, ", '[1]'")), "unchanged:already_resolved");
    EXPECT_EQ(scene.told(on("tasker_resolve_step", a)), "unchanged:already_resolved");
    EXPECT_EQ(scene.told(on("tasker_resolve_step", a, ", '[2]'")), "refused:already_resolved");
    EXPECT_EQ(column(a, "results"), "[1]");
}

TEST_F(StepOperations, ResolveTakesALateResultWhenThereIsOne) {
    const auto task = scene.submit(scene.draw("pair", "a limit=1\nb <- a"));
    const auto letter = scene.exhaust("a");
    const auto a = scene.step_id(task, "a");
    EXPECT_EQ(scene.told(on("tasker_resolve_step", a, ", NULL, NULL, NULL, true")), "refused:no_late_result");
    scene.execute("UPDATE tasker_dead_letters SET late_result = '{\"paid\": true}' WHERE dead_letter_id = " +
                  std::to_string(letter));
    const auto row = scene.call(on("tasker_resolve_step", a, ", NULL, NULL, 'ann', true"));
    EXPECT_EQ(told_by(row), "done");
    EXPECT_EQ(row["dead_letter_id"], letter);
    EXPECT_EQ(scene.take_step("b").previous_results_json, R"({ "a" : {"paid": true} })");
    EXPECT_EQ(scene.one("SELECT resolution || ' by ' || resolved_by FROM tasker_dead_letters"),
              "resolved by ann");
}

TEST_F(StepOperations, CancelTakesAllDescendantsAndLeavesOtherBranches) {
    //  a   e
    //  |\  |
    //  b c |
    //   \|/
    //    d
    const auto task = scene.submit(scene.draw("graph", "a\ne\nb <- a\nc <- a\nd <- b c e"));
    const auto row = scene.call(on("tasker_cancel_step", scene.step_id(task, "a"), ", 'no', 'ann'"));
    EXPECT_EQ(row["changed_steps"].size(), 4U);
    EXPECT_EQ(row["task_state"], "pending");
    EXPECT_EQ(counters(task), "5 open 1 movable");
    EXPECT_EQ(scene.found_by_checks(), "");
    scene.answer(scene.take_step("e"), "completed");
    EXPECT_EQ(scene.task_state(task), "cancelled");
    EXPECT_EQ(scene.take().size(), 0U);
}

TEST_F(StepOperations, CancelOfAllThatCanMoveEndsTheTask) {
    const auto task = scene.submit(scene.draw("pair", "a\nb <- a"));
    EXPECT_EQ(scene.call(on("tasker_cancel_step", scene.step_id(task, "a")))["task_state"], "cancelled");
    EXPECT_EQ(scene.task_history(task), "create=pending cancel=cancelled");
}

TEST_F(StepOperations, CancelOfAChildLetsItsParentGoOn) {
    const auto task = scene.submit(scene.draw("pair", "a\nb <- a"));
    const auto a = scene.take_step("a");
    EXPECT_EQ(scene.told(on("tasker_cancel_step", scene.step_id(task, "b"))), "done");
    EXPECT_EQ(counters(task), "2 open 1 movable");
    EXPECT_EQ(scene.answer(a, "completed"), "applied");
    EXPECT_EQ(scene.task_state(task), "cancelled");
}

TEST_F(StepOperations, CancelOfARunningStepLeavesItsDeliveryOut) {
    scene.submit(scene.draw("single", "a"));
    const auto a = scene.take_step("a");
    EXPECT_EQ(scene.told(on("tasker_cancel_step", a.step_id)), "done");
    EXPECT_EQ(scene.one("SELECT final_status IS NULL AND reported_at IS NULL FROM "
                        "tasker_step_execution_batch_steps"),
              "t");
    EXPECT_EQ(scene.found_by_checks(), "");
    EXPECT_EQ(scene.answer(a, "completed"), "late");
    EXPECT_EQ(scene.state_of(a.step_id), "cancelled");
    EXPECT_EQ(column(a.step_id, "results"), "");
}

TEST_F(StepOperations, CancelOfAWaitingRetryTakesItOutOfTheQueue) {
    scene.submit(scene.draw("single", "a"));
    const auto a = scene.take_step("a");
    scene.answer(a, "failed");
    EXPECT_EQ(scene.told(on("tasker_cancel_step", a.step_id)), "done");
    EXPECT_EQ(column(a.step_id, "next_attempt_at"), "");
    EXPECT_EQ(scene.take().size(), 0U);
    EXPECT_EQ(scene.told(on("tasker_cancel_step", a.step_id)), "unchanged:already_cancelled");
}

TEST_F(StepOperations, CancelOfAHeldStepCountsItAsMovable) {
    const auto task = scene.submit(scene.draw("single", "a"), R"({"not_before": "2999-01-01T00:00:00Z"})");
    EXPECT_EQ(scene.told(on("tasker_cancel_step", scene.step_id(task, "a"))), "done");
    EXPECT_EQ(scene.task_state(task), "cancelled");
}

TEST_F(StepOperations, WakeTheOrchestratorForWhatTheyMakeReady) {
    const auto task = scene.submit(scene.draw("fan", "a\nb @Other <- a\nc <- a"));
    const auto a = scene.fail("a").step_id;
    const auto work = std::to_string(scene.key_of("Work"));
    EXPECT_EQ(scene.wakes_of(on("tasker_retry_step", a)), "keys:" + work);
    scene.fail("a");
    // Keys of both children, in either order.
    const auto both = scene.wakes_of(on("tasker_resolve_step", a));
    EXPECT_TRUE(both.starts_with("keys:") && both.size() == work.size() * 2 + 6) << both;
    EXPECT_EQ(scene.wakes_of(on("tasker_cancel_step", scene.step_id(task, "b"))), "scan");
    EXPECT_EQ(scene.wakes_of(on("tasker_retry_step", a)), "") << "a refusal wakes nobody";
}

TEST_F(StepOperations, KnowNoOtherStep) {
    for (const char* function : {"tasker_retry_step", "tasker_resolve_step", "tasker_cancel_step"}) {
        EXPECT_EQ(scene.told(on(function, 4711)), "not_found:unknown_step");
    }
}

}  // namespace
}  // namespace tasker::api
