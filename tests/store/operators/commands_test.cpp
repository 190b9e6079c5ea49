// tasker step|task|dlq|worker: what people and scripts see of the operators' functions.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/store/operators/operator_scene.hpp"
#include "tests/store/queries/command_run.hpp"

namespace tasker::cli {
namespace {

using nlohmann::json;

class OperatorCommands : public testing::Test {
  protected:
    void TearDown() override { EXPECT_EQ(scene.found_by_checks(), ""); }
    CommandRun run(const std::vector<std::string>& arguments) { return run_command(scene.url(), arguments); }
    static std::string id(std::int64_t number) { return std::to_string(number); }

    /// A task whose first step used up its only attempt.
    void exhausted() {
        task = scene.submit(scene.draw("pair", "pay limit=1\nship <- pay"));
        letter = scene.exhaust("pay");
        step = scene.step_id(task, "pay");
    }
    void learn_late_success() {
        scene.execute(R"(UPDATE tasker_dead_letters SET late_result = '{"payment_id": "p-17"}')");
    }

    api::OperatorScene scene;
    std::int64_t task = 0;
    std::int64_t letter = 0;
    std::int64_t step = 0;
};

TEST_F(OperatorCommands, RetryAStep) {
    exhausted();
    const auto done = run({"step", "retry", id(step), "--reason", "bank is back", "--actor", "ann"});
    EXPECT_EQ(done.code, 0) << done.err;
    EXPECT_EQ(done.out, "step " + id(step) + " (pay) of task " + id(task) +
                            " is ready again and may take one more attempt\n");
    EXPECT_EQ(scene.one("SELECT metadata ->> 'actor' FROM tasker_workflow_step_transitions WHERE event = "
                        "'retry'"),
              "ann");
    const auto again = run({"step", "retry", id(step), "--json"});
    EXPECT_EQ(again.code, 0);
    EXPECT_EQ(again.json()["outcome"], "unchanged");
    EXPECT_EQ(again.json()["code"], "already_retried");
}

TEST_F(OperatorCommands, NameTheUserWhenNobodyElseIsNamed) {
    exhausted();
    run({"step", "retry", id(step)});
    EXPECT_NE(scene.one("SELECT metadata ->> 'actor' FROM tasker_workflow_step_transitions WHERE event = "
                        "'retry'"),
              "");
}

TEST_F(OperatorCommands, RefuseWithCauseAndNextAction) {
    exhausted();
    const auto child = scene.step_id(task, "ship");
    const auto refused = run({"step", "retry", id(child)});
    EXPECT_EQ(refused.code, 1);
    EXPECT_EQ(refused.out, "");
    EXPECT_NE(refused.err.find("(ship) of task " + id(task) +
                               " is pending in a task that is error; only a "
                               "step in error can be retried"),
              std::string::npos)
        << refused.err;
    EXPECT_NE(refused.err.find("tasker task show"), std::string::npos) << refused.err;
    const auto told = run({"step", "retry", id(child), "--json"});
    EXPECT_EQ(told.code, 1);
    EXPECT_EQ(told.json()["outcome"], "refused");
    EXPECT_EQ(told.json()["code"], "wrong_state");
}

TEST_F(OperatorCommands, SayWhatDoesNotExist) {
    const std::vector<std::vector<std::string>> unknown = {
        {"step", "retry", "4711"},  {"step", "resolve", "4711"}, {"step", "cancel", "4711"},
        {"task", "cancel", "4711"}, {"task", "retry", "4711"},   {"dlq", "show", "4711"},
        {"dlq", "replay", "4711"},  {"dlq", "discard", "4711"},  {"worker", "drain", "nobody"}};
    for (auto arguments : unknown) {
        if (arguments[1] == "resolve") arguments.insert(arguments.end(), {"--results", "{}"});
        const auto result = run(arguments);
        EXPECT_EQ(result.code, 4) << arguments[0] << " " << arguments[1];
        EXPECT_NE(result.err.find("tasker: there is no "), std::string::npos) << result.err;
    }
    EXPECT_EQ(json::parse(run({"step", "cancel", "4711", "--json"}).err)["error"]["code"], "not_found");
}

TEST_F(OperatorCommands, ResolveAStepWithResultsGivenOrFromAFile) {
    exhausted();
    EXPECT_EQ(run({"step", "resolve", id(step), "--results", "{oops"}).code, 2);
    EXPECT_EQ(run({"step", "resolve", id(step), "--results", "@/no/such/file"}).code, 4);
    const std::string deep = std::string(59, '[') + std::string(59, ']');
    for (const auto& [results, why] :
         {std::pair{R"({"a": "\u0000"})", "--results: $.a: contains the character \\u0000"},
          std::pair{R"({"a": [1, {"b": 1, "b": 2}]})", "--results: $.a[1]: the key 'b' is given"},
          std::pair{deep.c_str(), "--results: the database cannot hold this"}}) {
        const auto unstorable = run({"step", "resolve", id(step), "--results", results});
        EXPECT_EQ(unstorable.code, 2) << unstorable.err;
        EXPECT_NE(unstorable.err.find(why), std::string::npos) << unstorable.err;
    }
    EXPECT_EQ(scene.state_of(step), "error");
    const std::string file = testing::TempDir() + "results." + std::to_string(::getpid()) + ".json";
    std::ofstream(file) << R"({"payment_id": 12345678901234567890})";
    const auto done = run({"step", "resolve", id(step), "--results", "@" + file, "--json"});
    std::remove(file.c_str());
    EXPECT_EQ(done.code, 0) << done.err;
    EXPECT_EQ(done.json()["task_state"], "in_progress");
    EXPECT_EQ(done.json()["ready_steps"], json({scene.step_id(task, "ship")}));
    EXPECT_EQ(scene.one("SELECT results FROM tasker_workflow_steps WHERE workflow_step_id = " + id(step)),
              R"({"payment_id": 12345678901234567890})");
    const auto shown = run({"task", "show", id(task)});
    EXPECT_NE(shown.out.find("12345678901234567890"), std::string::npos)
        << "the results count, not the old error\n"
        << shown.out;
}

TEST_F(OperatorCommands, ResolveAStepWithItsLateResult) {
    exhausted();
    const auto none = run({"step", "resolve", id(step), "--results", "@late"});
    EXPECT_EQ(none.code, 1);
    EXPECT_NE(none.err.find("has no late result"), std::string::npos) << none.err;
    learn_late_success();
    EXPECT_EQ(run({"step", "resolve", id(step), "--results", "@late"}).code, 0);
    EXPECT_EQ(scene.take_step("ship").previous_results_json, R"({ "pay" : {"payment_id": "p-17"} })");
}

TEST_F(OperatorCommands, CancelAStepAndATask) {
    const auto pair = scene.submit(scene.draw("pair", "pay\nship <- pay"));
    const auto ship = run({"step", "cancel", id(scene.step_id(pair, "ship"))});
    EXPECT_EQ(ship.code, 0) << ship.err;
    EXPECT_NE(ship.out.find("is cancelled; the task is pending"), std::string::npos) << ship.out;
    const auto all = run({"task", "cancel", id(pair), "--reason", "withdrawn"});
    EXPECT_EQ(all.out, "task " + id(pair) + " is cancelled, with 1 of its steps\n");
    EXPECT_EQ(run({"task", "cancel", id(pair)}).code, 0);
    EXPECT_EQ(run({"task", "retry", id(pair)}).code, 1);
}

TEST_F(OperatorCommands, RetryATask) {
    exhausted();
    const auto done = run({"task", "retry", id(task), "--json"});
    EXPECT_EQ(done.code, 0) << done.err;
    EXPECT_EQ(done.json()["changed_steps"], json({step}));
    EXPECT_EQ(run({"task", "retry", id(task)}).out,
              "task " + id(task) + " is in_progress and no step of it is in error\n");
}

TEST_F(OperatorCommands, ListAndShowDeadLetters) {
    EXPECT_EQ(run({"dlq", "list"}).out, "no open dead letter (--all also shows those that are closed)\n");
    exhausted();
    const auto list = run({"dlq", "list"});
    EXPECT_NE(list.out.find("retries_exhausted"), std::string::npos) << list.out;
    EXPECT_NE(list.out.find("no luck"), std::string::npos) << list.out;
    EXPECT_EQ(run({"dlq", "list", "--reason", "timed_out", "--json"}).json(), json::array());
    EXPECT_EQ(run({"dlq", "list", "--reason", "bad_luck"}).code, 2);
    const auto shown = run({"dlq", "show", id(letter)});
    EXPECT_EQ(shown.code, 0);
    EXPECT_NE(shown.out.find("tasker dlq replay " + id(letter)), std::string::npos) << shown.out;
    EXPECT_EQ(shown.out.find("LATE SUCCESS"), std::string::npos) << shown.out;
    learn_late_success();
    const auto late = run({"dlq", "show", id(letter)}).out;
    EXPECT_NE(late.find("A LATE SUCCESS IS KNOWN"), std::string::npos) << late;
    EXPECT_NE(late.find("p-17"), std::string::npos) << late;
    EXPECT_NE(late.find("tasker step resolve " + id(step) + " --results @late"), std::string::npos) << late;
    EXPECT_NE(run({"dlq", "list"}).out.find("open, LATE SUCCESS"), std::string::npos);
    EXPECT_EQ(run({"dlq", "show", id(letter), "--json"}).json()["late_result"]["payment_id"], "p-17");
    const auto replayed = run({"dlq", "replay", id(letter)}).out;
    EXPECT_NE(replayed.find("although its last attempt did succeed, too late"), std::string::npos)
        << replayed;
}

TEST_F(OperatorCommands, ReplayAndDiscardDeadLetters) {
    exhausted();
    EXPECT_EQ(run({"dlq", "replay", id(letter), "--reason", "not paid", "--actor", "ann"}).code, 0);
    EXPECT_EQ(run({"dlq", "replay", id(letter)}).code, 0) << "so already";
    const auto second = scene.exhaust("pay");
    const auto discarded = run({"dlq", "discard", id(second), "--json"});
    EXPECT_EQ(discarded.code, 0);
    EXPECT_EQ(discarded.json()["state"], "error");
    const auto refused = run({"dlq", "replay", id(second)});
    EXPECT_EQ(refused.code, 1);
    EXPECT_NE(refused.err.find("was discarded already"), std::string::npos) << refused.err;
    EXPECT_EQ(run({"dlq", "list", "--json"}).json(), json::array());
    const auto all = run({"dlq", "list", "--all", "--task", id(task), "--json"}).json();
    EXPECT_EQ(all.size(), 2U);
    const auto shown = run({"dlq", "show", id(letter)}).out;
    EXPECT_NE(shown.find("by ann"), std::string::npos) << shown;
    EXPECT_NE(shown.find("not paid"), std::string::npos) << shown;
    EXPECT_EQ(shown.find("what you can do"), std::string::npos) << shown;
}

TEST_F(OperatorCommands, AcknowledgeTheDiscrepanciesOfABatch) {
    exhausted();
    const auto batch = scene.one("SELECT batch_id FROM tasker_step_execution_batches");
    EXPECT_EQ(run({"batch", "acknowledge", batch, "--reason", "fine"}).code, 1) << "it has none";
    const auto differ = [&](const std::string& difference) {
        scene.execute(
            "UPDATE tasker_step_execution_batches SET reconciliation_status = 'discrepancy', metadata = "
            "metadata || '{\"discrepancies\": [" +
            difference + "]}'");
    };
    differ(R"({"kind": "missing_partial", "detail": "x", "explained_by": "session_lost"})");
    EXPECT_EQ(run({"batch", "discrepancies", "--json"}).json(), json::array()) << "a loss explains it";
    EXPECT_EQ(run({"batch", "discrepancies", "--all", "--json"}).json().size(), 1U);
    differ(R"({"kind": "missing_partial", "detail": "x"})");
    EXPECT_EQ(run({"batch", "discrepancies", "--json"}).json().size(), 1U);
    EXPECT_EQ(scene.one("SELECT discrepancies FROM get_system_health_counts()"), "1");
    EXPECT_EQ(run({"batch", "acknowledge", batch}).code, 2) << "a reason is needed";
    const auto done = run({"batch", "acknowledge", batch, "--reason", "counted", "--actor", "ann"});
    EXPECT_EQ(done.code, 0) << done.err;
    EXPECT_EQ(run({"batch", "acknowledge", batch, "--reason", "again", "--json"}).json()["outcome"],
              "unchanged");
    EXPECT_EQ(run({"batch", "discrepancies", "--json"}).json(), json::array());
    EXPECT_EQ(scene.one("SELECT discrepancies FROM get_system_health_counts()"), "0");
    const auto shown = run({"batch", "show", batch}).out;
    EXPECT_NE(shown.find("by ann: counted"), std::string::npos) << shown;
    differ(R"({"kind": "status_mismatch", "detail": "y"})");
    EXPECT_EQ(run({"batch", "discrepancies", "--json"}).json().size(), 1U)
        << "what differs later is open again";
    EXPECT_EQ(run({"batch", "acknowledge", "4711", "--reason", "x"}).code, 4);
    scene.execute(
        "UPDATE tasker_step_execution_batches SET reconciliation_status = 'consistent', metadata = '{}'");
}

TEST_F(OperatorCommands, ShowWhyABatchTimedOut) {
    exhausted();
    scene.execute("UPDATE tasker_step_execution_batches SET state = 'timed_out'");
    scene.execute(
        "UPDATE tasker_step_execution_batch_steps SET final_status = 'orphaned', metadata = '{\"reason\": "
        "\"session_lost\"}'");
    EXPECT_EQ(run({"batch", "list", "--json"}).json().at(0)["ended_by"], "session_lost");
    EXPECT_NE(run({"batch", "list"}).out.find("timed_out (session_lost)"), std::string::npos);
    const auto batch = scene.one("SELECT batch_id FROM tasker_step_execution_batches");
    EXPECT_NE(run({"batch", "show", batch}).out.find("timed_out (session_lost)"), std::string::npos);
    scene.execute("UPDATE tasker_step_execution_batches SET state = 'failed'");
    scene.execute("UPDATE tasker_step_execution_batch_steps SET final_status = 'failed', metadata = NULL");
}

TEST_F(OperatorCommands, DrainAWorker) {
    scene.execute(
        "INSERT INTO tasker_workers (session, worker_id, capacity, state, epoch) VALUES"
        " ('00ff', 'orders', 4, 'ready', 1), ('00fe', 'orders', 4, 'gone', 1), "
        "('00fd', 'away', 4, 'lost', 1)");
    const auto asked = run({"worker", "drain", "orders", "--deadline", "2.5", "--json"});
    EXPECT_EQ(asked.code, 0) << asked.err;
    ASSERT_EQ(asked.json().size(), 2U);
    EXPECT_EQ(scene.one("SELECT drain_deadline_ms FROM tasker_workers WHERE session = '00ff'"), "2500");
    EXPECT_NE(run({"worker", "list"}).out.find("ready, drain asked"), std::string::npos);
    EXPECT_EQ(run({"worker", "drain", "00ff", "--deadline", "2.5"}).out,
              "session 00ff of orders (ready, 0 in flight): drain was requested already\n");
    const auto away = run({"worker", "drain", "away"});
    EXPECT_EQ(away.code, 1);
    EXPECT_NE(away.err.find("has no live session"), std::string::npos) << away.err;
    EXPECT_EQ(run({"worker", "drain", "orders", "--deadline", "-1"}).code, 2);
    scene.execute("DELETE FROM tasker_workers");
}

TEST_F(OperatorCommands, DrainNoneOfSeveralSessionsOfOneNameUnlessAll) {
    scene.execute(
        "INSERT INTO tasker_workers (session, worker_id, capacity, state, epoch, in_flight) VALUES"
        " ('00ff', 'orders', 4, 'ready', 1, 3), ('00fe', 'orders', 4, 'ready', 1, 0), ('00fd', 'orders', 4, 'gone', 1, 0)");
    const std::string asked = "SELECT count(*) FROM tasker_workers WHERE drain_requested_at IS NOT NULL";
    const auto refused = run({"worker", "drain", "orders"});
    EXPECT_EQ(refused.code, 1);
    EXPECT_NE(refused.err.find("2 live sessions are named \"orders\""), std::string::npos) << refused.err;
    EXPECT_NE(refused.err.find("00ff (ready, 3 in flight)"), std::string::npos) << refused.err;
    EXPECT_EQ(refused.err.find("00fd"), std::string::npos) << "it has gone\n" << refused.err;
    EXPECT_NE(refused.err.find("--all"), std::string::npos) << refused.err;
    const auto told = run({"worker", "drain", "orders", "--json", "--wait"});
    EXPECT_EQ(told.code, 1);
    EXPECT_EQ(told.json().at(0)["outcome"], "ambiguous");
    EXPECT_EQ(scene.one(asked), "0");
    EXPECT_EQ(run({"worker", "drain", "00ff"}).code, 0);
    EXPECT_EQ(scene.one(asked), "1");
    EXPECT_EQ(run({"worker", "drain", "orders", "--all"}).code, 0);
    EXPECT_EQ(scene.one(asked), "2");
    scene.execute("DELETE FROM tasker_workers");
}

TEST_F(OperatorCommands, WaitForADrainWithinALimit) {
    scene.execute(
        "INSERT INTO tasker_workers (session, worker_id, capacity, state, epoch, in_flight) VALUES"
        " ('00ff', 'orders', 4, 'draining', 1, 3)");
    const auto late = run({"worker", "drain", "orders", "--wait", "--timeout", "0.1"});
    EXPECT_EQ(late.code, 1);
    EXPECT_NE(late.err.find("session 00ff (draining, 3 in flight)"), std::string::npos) << late.err;
    EXPECT_NE(late.err.find("one session has not left within 100 ms"), std::string::npos) << late.err;
    EXPECT_EQ(run({"worker", "drain", "orders", "--wait", "--timeout", "0", "--json"}).json().at(0)["state"],
              "draining");
    // The wait begins while it is live, so it sees the end that comes with the request.
    scene.execute(
        "CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.state := TG_ARGV[0]; RETURN NEW;"
        " END $$; CREATE TRIGGER leave BEFORE UPDATE ON tasker_workers FOR EACH ROW EXECUTE FUNCTION leave('left')");
    const auto left = run({"worker", "drain", "orders", "--wait", "--deadline", "7"});
    EXPECT_EQ(left.code, 0) << left.err;
    EXPECT_NE(left.err.find("session 00ff has ended: left"), std::string::npos) << left.err;
    EXPECT_NE(left.out.find("it has left\n"), std::string::npos) << left.out;
    scene.execute(
        "DROP TRIGGER leave ON tasker_workers; UPDATE tasker_workers SET state = 'ready';"
        " CREATE TRIGGER leave BEFORE UPDATE ON tasker_workers FOR EACH ROW EXECUTE FUNCTION leave('lost')");
    const auto lost = run({"worker", "drain", "orders", "--wait", "--deadline", "8"});
    EXPECT_EQ(lost.code, 1);
    EXPECT_NE(lost.err.find("one session was lost before saying goodbye"), std::string::npos) << lost.err;
    scene.execute("DROP TRIGGER leave ON tasker_workers; DROP FUNCTION leave; DELETE FROM tasker_workers");
}

TEST_F(OperatorCommands, TeachWithExamples) {
    const std::vector<std::vector<std::string>> commands = {
        {"step", "retry"},  {"step", "resolve"}, {"step", "cancel"},      {"task", "cancel"},
        {"task", "retry"},  {"dlq", "list"},     {"dlq", "show"},         {"dlq", "replay"},
        {"dlq", "discard"}, {"worker", "drain"}, {"batch", "acknowledge"}};
    for (auto arguments : commands) {
        const std::string name = "tasker " + arguments[0] + " " + arguments[1];
        arguments.push_back("--help");
        const auto help = run(arguments);
        EXPECT_EQ(help.code, 0);
        EXPECT_NE(help.out.find("\n  " + name + " "), std::string::npos) << name << "\n" << help.out;
    }
}

}  // namespace
}  // namespace tasker::cli
