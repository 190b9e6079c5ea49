#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "orchestrator/api/query.hpp"
#include "tests/store/checks/history.hpp"

namespace tasker::api {
namespace {

using nlohmann::json;

class Queries : public testing::Test {
  protected:
    static void SetUpTestSuite() { history_ = new History(); }
    static void TearDownTestSuite() {
        delete history_;
        history_ = nullptr;
    }
    static postgres::Connection& sql() { return history_->sql(); }

    static inline History* history_ = nullptr;
};

TEST_F(Queries, ListTasksNewestFirstAndFiltered) {
    const auto all = json::parse(task_list_json(sql(), {}));
    ASSERT_EQ(all.size(), 7U);
    EXPECT_EQ(all[0]["task_id"], history_->held);
    EXPECT_EQ(all[6]["task_id"], history_->complete);
    EXPECT_EQ(all[6]["namespace"], "shop");
    EXPECT_EQ(all[6]["name"], "diamond");
    EXPECT_EQ(all[6]["version"], "1.0.0");
    EXPECT_EQ(all[6]["total_steps"], 4);
    const auto failed = json::parse(task_list_json(sql(), {.state = "error"}));
    ASSERT_EQ(failed.size(), 1U);
    EXPECT_EQ(failed[0]["task_id"], history_->failed);
    EXPECT_EQ(json::parse(task_list_json(sql(), {.namespace_name = "elsewhere"})), json::array());
    EXPECT_EQ(json::parse(task_list_json(sql(), {.limit = 2})).size(), 2U);
}

TEST_F(Queries, ShowATaskWithStepsAndResults) {
    const auto task = json::parse(task_json(sql(), history_->complete).value());
    EXPECT_EQ(task["task_id"], history_->complete);
    EXPECT_EQ(task["state"], "complete");
    EXPECT_EQ(task["name"], "diamond");
    EXPECT_EQ(task["execution"]["execution_status"], "all_complete");
    EXPECT_TRUE(task["transitions"].is_null());
    ASSERT_EQ(task["steps"].size(), 4U);
    const auto& last = task["steps"][3];
    EXPECT_EQ(last["name"], "d");
    EXPECT_EQ(last["depends_on"], json({"b", "c"}));
    EXPECT_EQ(last["results"], json({{"value", 1}}));
    EXPECT_EQ(last["attempts"], 1);
    EXPECT_TRUE(last["error"].is_null());
    EXPECT_FALSE(task_json(sql(), 4711));
}

TEST_F(Queries, ShowTheHistoryWhenAskedFor) {
    const auto task = json::parse(task_json(sql(), history_->failed, true).value());
    ASSERT_EQ(task["transitions"].size(), 3U);
    EXPECT_EQ(task["transitions"][2]["to_state"], "error");
    EXPECT_EQ(task["steps"][0]["transitions"][1]["event"], "claim");
    EXPECT_EQ(task["steps"][0]["error"]["message"], "no luck");
}

TEST_F(Queries, KeepNumbersExact) {
    postgres::Transaction transaction = sql().begin();
    // Beyond double and 64 bits: what JSON readers would round.
    transaction.query(
        "UPDATE tasker_workflow_steps SET results = '{\"n\": 123456789012345678901234567890.125}'"
        " WHERE workflow_step_id = $1",
        history_->step(history_->complete, "a"));
    transaction.commit();
    EXPECT_NE(task_json(sql(), history_->complete)->find("123456789012345678901234567890.125"),
              std::string::npos);
}

TEST_F(Queries, MapStepNamesToIds) {
    const std::int64_t ids[] = {history_->fresh, 4711, history_->failed};
    const auto list = json::parse(task_mappings_json(sql(), ids));
    ASSERT_EQ(list.size(), 2U);
    EXPECT_EQ(list[0]["task_id"], history_->failed);
    EXPECT_EQ(list[1]["step_count"], 4);
    EXPECT_EQ(list[1]["step_mapping"]["c"], history_->step(history_->fresh, "c"));
}

TEST_F(Queries, TellTheProgressOfTasksAndSteps) {
    const std::int64_t ids[] = {history_->in_flight, 4711};
    const auto tasks = task_progress(sql(), ids);
    ASSERT_EQ(tasks.size(), 1U);
    EXPECT_EQ(tasks[0].state, "in_progress");
    EXPECT_EQ(tasks[0].total_steps, 4);
    EXPECT_EQ(tasks[0].completed_steps, 1);
    const auto steps = step_progress(sql(), history_->in_flight);
    ASSERT_EQ(steps.size(), 4U);
    EXPECT_EQ(steps[3].name, "d");
    EXPECT_EQ(steps[3].parents, (std::vector<std::size_t>{1, 2}));
    EXPECT_TRUE(steps[0].took.has_value());
    const auto waiting = step_progress(sql(), history_->retrying);
    EXPECT_EQ(waiting[0].error, "no luck");
    ASSERT_TRUE(waiting[0].retry_in);
    EXPECT_GT(*waiting[0].retry_in, 3000);
}

TEST_F(Queries, ListAndShowBatches) {
    const auto all = json::parse(batch_list_json(sql(), {}));
    ASSERT_EQ(all.size(), 8U);
    EXPECT_GT(all[0]["batch_id"], all[1]["batch_id"]);
    const auto open = json::parse(batch_list_json(sql(), {.state = "published"}));
    ASSERT_EQ(open.size(), 1U);
    EXPECT_EQ(open[0]["batch_size"], 2);
    const auto of_task = json::parse(batch_list_json(sql(), {.task_id = history_->complete}));
    ASSERT_EQ(of_task.size(), 3U);
    const auto id = of_task[2]["batch_id"].get<std::int64_t>();
    const auto batch = json::parse(batch_json(sql(), std::to_string(id)).value());
    EXPECT_EQ(batch["namespace"], "shop");
    EXPECT_EQ(batch["steps"][0]["name"], "a");
    EXPECT_EQ(batch["steps"][0]["final_status"], "completed");
    ASSERT_EQ(batch["received_results"].size(), 3U);
    EXPECT_EQ(batch["received_results"][2]["disposition"], "duplicate");
    EXPECT_EQ(batch["transitions"].size(), 4U);
    EXPECT_EQ(batch["reconciliation_status"], "consistent");
    EXPECT_EQ(json::parse(batch_json(sql(), batch["batch_uuid"]).value()), batch);
    for (const char* unknown : {"4711", "no-uuid", "", "99999999999999999999999", "1 OR true"}) {
        EXPECT_FALSE(batch_json(sql(), unknown)) << unknown;
    }
}

TEST_F(Queries, ListWorkersAndHealth) {
    sql().execute(
        "INSERT INTO tasker_workers (session, worker_id, capacity, state, epoch) VALUES ('b', 'gone', 1, "
        "'gone', 1),"
        " ('a', 'here', 1, 'ready', 1)");
    const auto here = json::parse(worker_list_json(sql(), false));
    ASSERT_EQ(here.size(), 1U);
    EXPECT_EQ(here[0]["worker_id"], "here");
    EXPECT_EQ(json::parse(worker_list_json(sql(), true)).size(), 2U);
    const auto health = json::parse(health_json(sql()));
    EXPECT_EQ(health["workers"]["ready"], 1);
    EXPECT_EQ(health["lanes"][0]["state"], "starting");
    EXPECT_LT(health["lanes"][0]["last_seen_age_ms"], 600'000);
    EXPECT_EQ(health["counts"]["total_tasks"], 7);
}

}  // namespace
}  // namespace tasker::api
