// Every function in every state: what it answers, and that a refusal changes nothing at all.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/store/operators/operator_scene.hpp"

namespace tasker::api {
namespace {

class EveryState : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        scene = new OperatorScene();
        const auto one = scene->draw("one", "a");
        const auto pair = scene->draw("pair", "a\nb <- a");
        const auto keep = [](const char* name, std::int64_t task) {
            steps[name] = scene->step_id(task, "a");
            tasks[name] = task;
        };
        const auto started = [&](const char* name, int template_id, const char* status) {
            const auto task = scene->submit(template_id);
            scene->answer(scene->take_step("a"), status);
            keep(name, task);
        };
        started("complete", one, "completed");
        started("error", pair, "error");
        started("resolved_manually", pair, "error");
        scene->call("tasker_resolve_step(" + std::to_string(steps["resolved_manually"]) + ", '1')");
        scene->call("tasker_cancel_step(" + std::to_string(scene->step_id(tasks["resolved_manually"], "b")) +
                    ")");
        started("error_in_cancelled", pair, "error");
        scene->call("tasker_cancel_task(" + std::to_string(tasks["error_in_cancelled"]) + ")");
        const auto running = scene->submit(one);
        scene->take_step("a");
        keep("in_progress", running);
        const auto cancelled = scene->submit(one);
        keep("cancelled", cancelled);
        scene->call("tasker_cancel_task(" + std::to_string(cancelled) + ")");
        const auto waiting = scene->submit(one);
        const auto claim = scene->take_step("a");
        scene->answer(claim, "failed");
        keep("waiting_for_retry", waiting);
        const auto fresh = scene->submit(pair);
        keep("pending", fresh);
        steps["pending_blocked"] = scene->step_id(fresh, "b");
    }
    static void TearDownTestSuite() {
        delete scene;
        scene = nullptr;
    }

    static std::string everything(postgres::Transaction& transaction) {
        std::string text;
        for (const char* table : {"tasker_tasks", "tasker_workflow_steps", "tasker_task_transitions",
                                  "tasker_workflow_step_transitions", "tasker_step_execution_batches",
                                  "tasker_step_execution_batch_steps", "tasker_dead_letters"}) {
            text += transaction
                        .execute(
                            std::string(
                                "SELECT md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')) FROM ") +
                            table + " x")
                        .at(0)[0]
                        .as<std::string>();
        }
        return text;
    }

    /// Calls in a transaction that is rolled back; only "done" may have changed anything, and that rightly.
    static std::string tried(const std::string& function, std::int64_t id) {
        postgres::Transaction transaction = scene->sql().begin();
        const auto before = everything(transaction);
        const auto row = nlohmann::json::parse(
            transaction.query("SELECT row_to_json(r)::text FROM " + function + "($1) r", id)
                .at(0)[0]
                .as<std::string>());
        EXPECT_EQ(everything(transaction) == before, row["outcome"] != "done") << function << " " << id;
        EXPECT_FALSE(row["message"].get<std::string>().empty());
        for (const auto& result : run_checks(transaction)) {
            for (const auto& violation : result.violations) {
                ADD_FAILURE() << function << " " << id << ": " << result.check.name << " "
                              << violation.message;
            }
        }
        transaction.roll_back();
        return told_by(row);
    }

    using Expected = std::map<std::string, std::string>;
    static void expect(const std::string& function, const std::map<std::string, std::int64_t>& ids,
                       const Expected& expected) {
        ASSERT_EQ(ids.size(), expected.size());
        for (const auto& [state, id] : ids) {
            EXPECT_EQ(tried(function, id), expected.at(state)) << function << " of " << state;
        }
    }

    static inline OperatorScene* scene = nullptr;
    static inline std::map<std::string, std::int64_t> steps;
    static inline std::map<std::string, std::int64_t> tasks;
};

TEST_F(EveryState, OfAStepToldToRetry) {
    expect("tasker_retry_step", steps,
           {{"pending", "refused:wrong_state"},
            {"pending_blocked", "refused:wrong_state"},
            {"in_progress", "refused:wrong_state"},
            {"waiting_for_retry", "refused:wrong_state"},
            {"complete", "refused:wrong_state"},
            {"error", "done"},
            {"error_in_cancelled", "refused:task_cancelled"},
            {"cancelled", "refused:task_cancelled"},
            {"resolved_manually", "refused:task_cancelled"}});
}

TEST_F(EveryState, OfAStepToldToBeResolved) {
    expect("tasker_resolve_step", steps,
           {{"pending", "refused:wrong_state"},
            {"pending_blocked", "refused:wrong_state"},
            {"in_progress", "refused:wrong_state"},
            {"waiting_for_retry", "refused:wrong_state"},
            {"complete", "refused:wrong_state"},
            {"error", "done"},
            {"error_in_cancelled", "refused:task_cancelled"},
            {"cancelled", "refused:task_cancelled"},
            {"resolved_manually", "unchanged:already_resolved"}});
}

TEST_F(EveryState, OfAStepToldToBeCancelled) {
    expect("tasker_cancel_step", steps,
           {{"pending", "done"},
            {"pending_blocked", "done"},
            {"in_progress", "done"},
            {"waiting_for_retry", "done"},
            {"complete", "refused:wrong_state"},
            {"error", "refused:wrong_state"},
            {"error_in_cancelled", "refused:wrong_state"},
            {"cancelled", "unchanged:already_cancelled"},
            {"resolved_manually", "refused:wrong_state"}});
}

TEST_F(EveryState, OfATaskToldToBeCancelled) {
    expect("tasker_cancel_task", tasks,
           {{"pending", "done"},
            {"in_progress", "done"},
            {"waiting_for_retry", "done"},
            {"complete", "refused:wrong_state"},
            {"error", "done"},
            {"error_in_cancelled", "unchanged:already_cancelled"},
            {"cancelled", "unchanged:already_cancelled"},
            {"resolved_manually", "unchanged:already_cancelled"}});
}

TEST_F(EveryState, OfATaskToldToRetry) {
    expect("tasker_retry_task", tasks,
           {{"pending", "unchanged:nothing_in_error"},
            {"in_progress", "unchanged:nothing_in_error"},
            {"waiting_for_retry", "unchanged:nothing_in_error"},
            {"complete", "refused:wrong_state"},
            {"error", "done"},
            {"error_in_cancelled", "refused:task_cancelled"},
            {"cancelled", "refused:task_cancelled"},
            {"resolved_manually", "refused:task_cancelled"}});
}

// No function here resolves a task as a whole, but the state exists and must be left alone.
TEST_F(EveryState, OfATaskResolvedManuallyIsFinal) {
    postgres::Transaction transaction = scene->sql().begin();
    transaction.query("UPDATE tasker_tasks SET state = 'resolved_manually' WHERE task_id = $1",
                      tasks["error"]);
    const std::vector<std::pair<std::string, std::int64_t>> calls = {{"tasker_cancel_task", tasks["error"]},
                                                                     {"tasker_retry_task", tasks["error"]},
                                                                     {"tasker_retry_step", steps["error"]},
                                                                     {"tasker_resolve_step", steps["error"]}};
    for (const auto& [function, id] : calls) {
        const auto row = transaction.query("SELECT r.outcome, r.code FROM " + function + "($1) r", id).at(0);
        EXPECT_EQ(row[0].as<std::string>() + ":" + row[1].as<std::string>(), "refused:wrong_state")
            << function;
    }
    transaction.roll_back();
}

}  // namespace
}  // namespace tasker::api
