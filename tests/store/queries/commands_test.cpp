#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "tests/store/checks/history.hpp"
#include "tests/store/queries/command_run.hpp"

namespace tasker::cli {
namespace {

using api::History;
using nlohmann::json;

class Commands : public testing::Test {
  protected:
    static void SetUpTestSuite() { history_ = new History(); }
    static void TearDownTestSuite() {
        delete history_;
        history_ = nullptr;
    }
    static CommandRun run(const std::vector<std::string>& arguments) {
        return run_command(history_->url(), arguments);
    }
    static std::string id(std::int64_t number) { return std::to_string(number); }

    static inline History* history_ = nullptr;
};

TEST_F(Commands, ListTasksAsTableAndJson) {
    const auto table = run({"task", "list", "--state", "error"});
    EXPECT_EQ(table.code, 0);
    EXPECT_NE(table.out.find("shop/single:1.0.0"), std::string::npos) << table.out;
    EXPECT_EQ(table.out.find("shop/diamond"), std::string::npos) << table.out;
    const auto list = run({"task", "list", "--json"}).json();
    EXPECT_EQ(list.size(), 7U);
    EXPECT_TRUE(list[0]["task_id"].is_number_integer());
    EXPECT_EQ(run({"task", "list", "--namespace", "nowhere"}).out, "no such task\n");
}

TEST_F(Commands, RefuseAnUnknownState) {
    const auto refused = run({"task", "list", "--state", "done"});
    EXPECT_EQ(refused.code, 2);
    EXPECT_NE(refused.err.find("\"done\" is no state of a task"), std::string::npos) << refused.err;
    EXPECT_EQ(run({"batch", "list", "--state", "done"}).code, 2);
}

TEST_F(Commands, ShowATask) {
    const auto table = run({"task", "show", id(history_->failed), "--history"});
    EXPECT_EQ(table.code, 0);
    EXPECT_NE(table.out.find("error: no luck"), std::string::npos) << table.out;
    EXPECT_NE(table.out.find("claim"), std::string::npos) << table.out;
    const auto task = run({"task", "show", id(history_->in_flight), "--json"}).json();
    EXPECT_EQ(task["task_id"], history_->in_flight);
    EXPECT_EQ(task["state"], "in_progress");
    EXPECT_EQ(task["namespace"], "shop");
    ASSERT_EQ(task["steps"].size(), 4U);
    for (const char* key :
         {"name", "state", "attempts", "results", "error", "depends_on", "workflow_step_id"}) {
        EXPECT_TRUE(task["steps"][3].contains(key)) << key;
    }
}

TEST_F(Commands, SayWhatDoesNotExist) {
    const std::vector<std::vector<std::string>> unknown = {
        {"task", "show", "4711"},           {"task", "wait", "4711"},
        {"batch", "show", "4711"},          {"batch", "show", "no-such-uuid"},
        {"template", "show", "shop/other"}, {"template", "check", "/no/such/file"},
        {"task", "submit", "shop/other"},   {"task", "submit", "shop/single:9.9.9"}};
    for (const auto& arguments : unknown) {
        const auto result = run(arguments);
        EXPECT_EQ(result.code, 4) << arguments[0] << " " << arguments[1];
        EXPECT_EQ(result.out, "");
        EXPECT_NE(result.err.find("tasker: "), std::string::npos);
    }
    const auto told = json::parse(run({"task", "show", "4711", "--json"}).err);
    EXPECT_EQ(told["error"]["code"], "not_found");
    EXPECT_EQ(told["error"]["message"], "there is no task 4711");
}

TEST_F(Commands, SayWhenTheDatabaseIsAwayOrWithoutSchema) {
    for (const auto& arguments : std::vector<std::vector<std::string>>{
             {"task", "list"}, {"health"}, {"db", "check"}, {"worker", "list"}, {"template", "list"}}) {
        EXPECT_EQ(run_command("postgresql:///x?host=/no/such/directory", arguments).code, 3) << arguments[0];
    }
    const test::TestDatabase empty(test::Schema::none);
    const auto refused = run_command(empty.url(), {"task", "list"});
    EXPECT_EQ(refused.code, 5);
    EXPECT_NE(refused.err.find("tasker migrate up"), std::string::npos) << refused.err;
}

TEST_F(Commands, ShowBatches) {
    const auto list = run({"batch", "list", "--task", id(history_->failed), "--json"}).json();
    ASSERT_EQ(list.size(), 1U);
    const auto number = list[0]["batch_id"].get<std::int64_t>();
    const auto shown = run({"batch", "show", id(number)});
    EXPECT_EQ(shown.code, 0);
    for (const char* part : {"ledger", "partial_result", "batch_completion", "transitions", "consistent"}) {
        EXPECT_NE(shown.out.find(part), std::string::npos) << part << shown.out;
    }
    const auto batch = run({"batch", "show", list[0]["batch_uuid"], "--json"}).json();
    EXPECT_EQ(batch["batch_id"], number);
    EXPECT_EQ(batch["received_results"].size(), 2U);
    EXPECT_EQ(run({"batch", "discrepancies", "--json"}).json(), json::array());
}

TEST_F(Commands, CheckTheDatabase) {
    const auto good = run({"db", "check"});
    EXPECT_EQ(good.code, 0) << good.out;
    history_->sql().execute("UPDATE tasker_tasks SET open_steps = open_steps + 1");
    const auto bad = run({"db", "check", "--limit", "3"});
    EXPECT_EQ(bad.code, 1);
    EXPECT_NE(bad.out.find("task_counters (I2)"), std::string::npos) << bad.out;
    EXPECT_NE(bad.out.find("… and 4 more"), std::string::npos) << bad.out;
    const auto told = run({"db", "check", "--json"});
    EXPECT_EQ(told.code, 1);
    EXPECT_EQ(told.json()["ok"], false);
    EXPECT_EQ(told.json()["violations_total"], 7);
    history_->sql().execute("UPDATE tasker_tasks SET open_steps = open_steps - 1");
    EXPECT_EQ(run({"db", "check"}).code, 0);
}

TEST_F(Commands, HealthNamesWhatIsMissing) {
    const auto starting = run({"health", "--json"});
    EXPECT_EQ(starting.code, 1);
    EXPECT_EQ(starting.json()["serving"], false);
    EXPECT_NE(starting.json()["message"].get<std::string>().find("is starting"), std::string::npos);
    EXPECT_EQ(starting.json()["counts"]["total_tasks"], 7);
    // It says that it serves, but nobody listens there.
    history_->sql().execute(
        "UPDATE tasker_orchestrators SET state = 'serving', last_seen_at = clock_timestamp(),"
        " endpoints = '{\"command\": \"ipc:///no/such/socket\"}'");
    const auto silent = run({"health"});
    EXPECT_EQ(silent.code, 1);
    EXPECT_NE(silent.out.find("no answer from ipc:///no/such/socket"), std::string::npos) << silent.out;
    history_->sql().execute("UPDATE tasker_orchestrators SET last_seen_at = now() - interval '1 minute'");
    EXPECT_NE(run({"health"}).out.find("was last seen 1 min 0 s ago"), std::string::npos);
    history_->sql().execute("UPDATE tasker_orchestrators SET state = 'starting'");
}

TEST_F(Commands, WaitForAnEndThatHasCome) {
    const auto well = run({"task", "wait", id(history_->complete)});
    EXPECT_EQ(well.code, 0);
    EXPECT_NE(well.out.find("complete: 4 of 4 steps complete"), std::string::npos) << well.out;
    EXPECT_EQ(run({"task", "wait", id(history_->failed)}).code, 1);
    const auto late =
        run({"task", "wait", id(history_->fresh), id(history_->complete), "--timeout", "0.05", "--json"});
    EXPECT_EQ(late.code, 1);
    EXPECT_EQ(late.json()[1]["state"], "pending");
}

TEST_F(Commands, WaitForAnEndThatComes) {
    const auto task = history_->held;
    // The last turn of this task, and what the orchestrator sends after it.
    std::thread orchestrator([url = history_->url(), task] {
        postgres::Connection connection(url);
        const auto waits =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE"
            " 'LISTEN%tasker_done%'";
        while (connection.execute(waits).at(0)[0].as<int>() == 0) std::this_thread::yield();
        connection.query("UPDATE tasker_tasks SET state = 'complete' WHERE task_id = $1", task);
        connection.query("SELECT pg_notify('tasker_done', $1::text)", std::to_string(task));
    });
    const auto waited = run({"task", "wait", id(task), "--timeout", "60", "--json"});
    orchestrator.join();
    EXPECT_EQ(waited.code, 0) << waited.err;
    EXPECT_EQ(waited.json()[0]["state"], "complete");
    history_->sql().query("UPDATE tasker_tasks SET state = 'pending' WHERE task_id = $1", task);
}

TEST_F(Commands, ListWorkers) {
    EXPECT_EQ(run({"worker", "list"}).out,
              "no worker is connected (--all also shows those that have gone)\n");
    history_->sql().execute(
        "INSERT INTO tasker_workers (session, worker_id, capacity, state, epoch, handlers) VALUES"
        " ('abc', E'evil\\x1b[2J', 4, 'ready', 1, '[\"Work\"]')");
    const auto shown = run({"worker", "list"});
    EXPECT_NE(shown.out.find("evil\\u001b[2J"), std::string::npos) << shown.out;
    EXPECT_EQ(run({"worker", "list", "--json"}).json()[0]["handlers"], json({"Work"}));
    history_->sql().execute("DELETE FROM tasker_workers");
}

}  // namespace
}  // namespace tasker::cli
