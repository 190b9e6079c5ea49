// Verdicts: the SQL function against its rules as sentences, and what becomes of a task.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/store/turn/scene.hpp"

namespace tasker::store {
namespace {

// The facts that the verdict on a first report of the current attempt depends on.
struct Report {
    std::string status;
    std::optional<bool> retryable;        // error.retryable; absent means retryable
    std::optional<bool> handler_stopped;  // false: timed out and still running
    bool step_retryable = true;
    bool dead_letter_on_orphan = false;
    int counted_attempts = 1;  // those that were started
    int retry_limit = 3;       // attempts in all, the first included
};

// The rules as sentences, in the order in which a reader would ask them.
std::string state_by_the_rules(const Report& report) {
    if (report.status == "completed") return "complete";
    if (report.status == "error") return "error";                       // permanent
    if (report.retryable == false) return "error";                      // the worker says so
    if (!report.step_retryable) return "error";                         // no second attempt
    if (report.counted_attempts >= report.retry_limit) return "error";  // the limit is reached
    // Its handler still runs: a retry would run beside it, as one of an orphan would.
    if (report.handler_stopped == false && report.dead_letter_on_orphan) return "error";
    return "waiting_for_retry";
}

std::string literal(std::optional<bool> value) {
    return value ? (*value ? "true" : "false") : "NULL";
}

TEST(StepVerdict, FollowsTheRulesForEveryCombination) {
    Scene scene;
    const std::optional<bool> three[] = {std::nullopt, false, true};
    std::string values;
    std::vector<std::string> expected;
    for (const std::string word : {"completed", "failed", "error"}) {
        for (const auto& report_retryable : three) {
            for (const auto& stopped : three) {
                for (const bool retryable : {false, true}) {
                    for (const bool dead_letter : {false, true}) {
                        for (int counted = 0; counted <= 4; ++counted) {
                            for (int limit = 1; limit <= 3; ++limit) {
                                expected.push_back(
                                    state_by_the_rules({word, report_retryable, stopped, retryable,
                                                        dead_letter, counted, limit}));
                                values += (values.empty() ? "(" : ",(") + std::to_string(expected.size()) +
                                          ",'" + word + "'," + literal(report_retryable) + "," +
                                          literal(stopped) + "," + literal(retryable) + ",'" +
                                          (dead_letter ? "dead_letter" : "retry") + "'," +
                                          std::to_string(counted) + "," + std::to_string(limit) + ")";
                            }
                        }
                    }
                }
            }
        }
    }
    const auto rows = scene.sql().execute(
        "SELECT tasker_step_verdict(w, r::boolean, h::boolean, s, o, c, l), format('%s %s %s %s %s %s/%s', "
        "w, r, h, s, o, c, "
        "l) FROM (VALUES " +
        values + ") v(n, w, r, h, s, o, c, l) ORDER BY n");
    ASSERT_EQ(rows.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const auto row = rows[static_cast<pqxx::result::size_type>(i)];
        EXPECT_EQ(row[0].as<std::string>(), expected[i]) << row[1].as<std::string>();
    }
}

class TaskVerdict : public ::testing::Test {
  protected:
    void TearDown() override { EXPECT_EQ(scene.violations(), std::vector<std::string>{}); }
    Scene scene;
};

TEST_F(TaskVerdict, CompleteWhenTheLastStepCompletes) {
    const auto task = scene.submit(scene.draw("chain", "a\nb <- a\n"));
    scene.apply({Scene::report(scene.claim(1).at(0))});
    EXPECT_EQ(scene.task_state(task), "in_progress");
    scene.apply({Scene::report(scene.claim(1).at(0))});
    EXPECT_EQ(scene.task_state(task), "complete");
    EXPECT_EQ(scene.list("SELECT event FROM tasker_task_transitions ORDER BY sort_key"),
              "create start complete");
}

TEST_F(TaskVerdict, ErrorOnlyWhenTheIndependentBranchHasRunToItsEnd) {
    //  bad ─> after_bad        good ─> after_good
    const auto task =
        scene.submit(scene.draw("branches", "bad once\ngood\nafter_bad <- bad\nafter_good <- good\n"));
    const auto claims = scene.claim(5);
    ASSERT_EQ(claims.size(), 2U);
    for (const auto& claim : claims) {
        if (claim.name == "bad") scene.apply({Scene::report(claim, "error")});
    }
    EXPECT_EQ(scene.task_state(task), "in_progress");
    EXPECT_TRUE(scene.claim(5).empty());
    for (const auto& claim : claims) {
        if (claim.name == "good") scene.apply({Scene::report(claim)});
    }
    EXPECT_EQ(scene.task_state(task), "in_progress");
    const auto last = scene.claim(5);
    ASSERT_EQ(last.size(), 1U);
    EXPECT_EQ(last[0].name, "after_good");
    ports::TurnInput input;
    input.messages = {Scene::report(last[0])};
    const auto result = scene.turn(input);
    ASSERT_EQ(result.tasks.size(), 1U);
    EXPECT_EQ(result.tasks[0].state, "error");
    EXPECT_EQ(scene.one("SELECT open_steps || ' ' || movable_steps FROM tasker_tasks"), "2 0");
    EXPECT_EQ(scene.state_of(scene.step_id(task, "after_bad")), "pending");
}

TEST_F(TaskVerdict, ErrorWhileARetryWaitsDoesNotEndTheTask) {
    const auto task = scene.submit(scene.draw("pair", "a once\nb\n"));
    for (const auto& claim : scene.claim(2)) scene.apply({Scene::report(claim, "failed")});
    EXPECT_EQ(scene.task_state(task), "in_progress");
    auto due = scene.claiming({{"s1", 5}});
    due.due = true;
    const auto claims = scene.turn(due).claims;
    ASSERT_EQ(claims.size(), 1U);
    scene.apply({Scene::report(claims[0])});
    EXPECT_EQ(scene.task_state(task), "error");
}

TEST_F(TaskVerdict, ManyTasksOfOneTurnAreJudgedEachByItself) {
    const auto tasks = scene.submit_many(scene.draw("single", "only once"), 4);
    ports::TurnInput input;
    for (const auto& claim : scene.claim(4)) {
        input.messages.push_back(Scene::report(claim, claim.task_id % 2 == 0 ? "completed" : "error"));
    }
    EXPECT_EQ(scene.turn(input).tasks.size(), 4U);
    for (const auto task : tasks) EXPECT_EQ(scene.task_state(task), task % 2 == 0 ? "complete" : "error");
}

TEST_F(TaskVerdict, OfAResolvedTaskIsLeftAloneByALateStep) {
    const auto task = scene.submit(scene.draw("single", "only"));
    const auto step = scene.claim(1).at(0);
    scene.execute(
        "UPDATE tasker_tasks SET state = 'resolved_manually', transition_count = 3, completed_at = "
        "'2020-01-01T00:00:00Z'");
    scene.execute(
        "INSERT INTO tasker_task_transitions SELECT task_id, 3, 'in_progress', 'resolved_manually', "
        "'resolve_manually' FROM tasker_tasks");
    EXPECT_EQ(scene.apply({Scene::report(step)}), "applied");
    EXPECT_EQ(scene.task_state(task), "resolved_manually");
    EXPECT_EQ(scene.one("SELECT extract(year FROM completed_at AT TIME ZONE 'UTC') FROM tasker_tasks"),
              "2020");
}

}  // namespace
}  // namespace tasker::store
