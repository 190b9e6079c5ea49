#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/store/checks/history.hpp"
#include "tests/store/queries/command_run.hpp"
#include "tests/support/postgres.hpp"

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
    EXPECT_EQ(run({"task", "list", "--namespace", "nowhere"}).out, "no task matches these filters\n");
}

TEST_F(Commands, RefuseAnUnknownState) {
    const auto refused = run({"task", "list", "--state", "done"});
    EXPECT_EQ(refused.code, 2);
    EXPECT_NE(refused.err.find("\"done\" is no state of a task"), std::string::npos) << refused.err;
    EXPECT_EQ(run({"batch", "list", "--state", "done"}).code, 2);
    const auto near = run({"task", "list", "--state", "complet"});
    EXPECT_NE(near.err.find("did you mean complete?"), std::string::npos) << near.err;
    const auto reason = run({"dlq", "list", "--reason", "timedout"});
    EXPECT_NE(reason.err.find("did you mean timed_out?"), std::string::npos) << reason.err;
}

TEST_F(Commands, SayWhetherFiltersMadeAListEmpty) {
    for (const auto& [arguments, said] : std::vector<std::pair<std::vector<std::string>, std::string>>{
             {{"task", "list", "--state", "error", "--error", "no such text"},
              "no task matches these filters"},
             {{"task", "list", "--tag", "nobody"}, "no task matches these filters"},
             {{"batch", "list", "--task", "4711"}, "no batch matches these filters"},
             {{"dlq", "list", "--task", "4711"},
              "no open dead letter matches these filters (--all also shows those that are closed)"},
             {{"dlq", "list", "--task", "4711", "--all"}, "no dead letter matches these filters"},
             {{"template", "list", "--namespace", "nope"},
              "no template in namespace \"nope\"; `tasker template list` shows all"}}) {
        EXPECT_EQ(run(arguments).out, said + "\n");
    }
}

TEST_F(Commands, ListTasksByTagAndByAValueInTheContext) {
    test::TestDatabase empty;
    const auto in = [&](const std::vector<std::string>& arguments) {
        return run_command(empty.url(), arguments);
    };
    EXPECT_EQ(in({"task", "list"}).out, "there is no task yet; `tasker task submit` creates one\n");
    EXPECT_EQ(in({"batch", "list"}).out, "no batch was ever sent\n");
    const std::string file = testing::TempDir() + "filters." + std::to_string(::getpid()) + ".yaml";
    std::ofstream(file) << "name: one\nnamespace_name: shop\nversion: 1.0.0\n"
                           "step_templates: [{name: only, handler_class: Work}]\n";
    ASSERT_EQ(in({"template", "load", file}).code, 0);
    std::remove(file.c_str());
    const auto submit = [&](const std::string& context, const std::vector<std::string>& tags) {
        std::vector<std::string> arguments = {"task", "submit", "shop/one", "--context", context};
        for (const auto& tag : tags) arguments.insert(arguments.end(), {"--tag", tag});
        EXPECT_EQ(in(arguments).code, 0);
    };
    submit(R"({"order": {"id": 17, "items": [{"sku": "A=1"}]}, "paid": true})", {"vip", "new"});
    submit(R"({"order": {"id": "17"}, "none": null})", {"vip"});
    submit(R"({"order": {"id": 18}})", {});
    const auto found = [&](std::vector<std::string> filters) {
        filters.insert(filters.begin(), {"task", "list", "--json"});
        std::string ids;
        for (const auto& row : in(filters).json()) ids += row["task_id"].dump() + " ";
        return ids;
    };
    EXPECT_EQ(found({"--tag", "vip"}), "2 1 ");
    EXPECT_EQ(found({"--tag", "vip", "--tag", "new"}), "1 ");
    EXPECT_EQ(found({"--context", "order.id=17"}), "2 1 ") << "a number and a text that are written alike";
    EXPECT_EQ(found({"--context", "order.items.0.sku=A=1"}), "1 ");
    EXPECT_EQ(found({"--context", "order.id=17", "--context", "paid=true"}), "1 ");
    EXPECT_EQ(found({"--context", "order.id=19"}), "");
    EXPECT_EQ(found({"--context", "none="}), "") << "null is no text";
    EXPECT_EQ(in({"task", "list", "--context", "order"}).code, 2);
    EXPECT_EQ(in({"task", "list", "--context", "=17"}).code, 2);
}

TEST_F(Commands, NameTheFileThatCannotBeRead) {
    const std::string folder = testing::TempDir();
    const auto directory = run({"task", "submit", "shop/single", "--context", "@" + folder});
    EXPECT_EQ(directory.code, 2);
    EXPECT_NE(directory.err.find("--context: cannot read the file \"" + folder + "\": it is a directory"),
              std::string::npos)
        << directory.err;
    const auto missing = run({"task", "submit", "shop/single", "--context", "@/no/such/file"});
    EXPECT_EQ(missing.code, 4);
    EXPECT_NE(missing.err.find("\"/no/such/file\": No such file or directory"), std::string::npos)
        << missing.err;
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
