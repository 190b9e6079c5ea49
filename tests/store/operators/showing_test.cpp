// What an operator looks at: steps with their attempts, what needs attention, what was rejected, lists and their pages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/store/operators/operator_scene.hpp"
#include "tests/store/queries/command_run.hpp"

namespace tasker::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

class Showing : public testing::Test {
  protected:
    void TearDown() override { EXPECT_EQ(scene.found_by_checks(), ""); }
    CommandRun run(const std::vector<std::string>& arguments) { return run_command(scene.url(), arguments); }
    CommandRun run_with_input(const std::vector<std::string>& arguments, const std::string& text) {
        std::istringstream input(text);
        auto* before = std::cin.rdbuf(input.rdbuf());
        auto result = run(arguments);
        std::cin.rdbuf(before);
        std::cin.clear();
        return result;
    }
    static std::string id(std::int64_t number) { return std::to_string(number); }

    /// A task whose first step failed twice and whose second step is out at a worker.
    std::int64_t repeated() {
        const auto task = scene.submit(scene.draw("pair", "pay limit=2\nship <- pay"));
        scene.exhaust("pay");
        scene.execute(
            "UPDATE tasker_step_execution_batch_received_results SET execution_time_ms = 1500, raw_message_json ="
            R"( '{"error": {"error_type": "NetworkError", "message": "gateway timed out"}}')"
            " WHERE message_type = 'partial_result'");
        return task;
    }
    std::vector<std::int64_t> failed_tasks(int count) {
        std::vector<std::int64_t> tasks;
        const auto drawn = scene.draw("one", "pay");
        for (int i = 0; i < count; ++i) {
            tasks.push_back(scene.submit(drawn));
            scene.fail("pay");
        }
        return tasks;
    }
    std::string states() { return scene.list("SELECT state FROM tasker_tasks ORDER BY task_id"); }

    api::OperatorScene scene;
};

TEST_F(Showing, AStepWithItsAttempts) {
    const auto task = repeated();
    const auto step = scene.step_id(task, "pay");
    const auto shown = run({"step", "show", id(step)});
    EXPECT_EQ(shown.code, 0) << shown.err;
    EXPECT_THAT(shown.out, HasSubstr("step " + id(step) + "  pay  error"));
    EXPECT_THAT(shown.out, HasSubstr("2 of 2"));
    EXPECT_THAT(shown.out, HasSubstr("no luck")) << "the step's own error is that of its last attempt";
    EXPECT_THAT(shown.out, HasSubstr("NetworkError: gateway timed out"));
    EXPECT_THAT(shown.out, HasSubstr("worker-1"));
    EXPECT_THAT(shown.out, HasSubstr("1.5 s"));
    EXPECT_THAT(shown.out, HasSubstr("`tasker dlq show 1`"));
    const auto answer = run({"step", "show", id(step), "--json"}).json();
    ASSERT_EQ(answer["attempt_history"].size(), 2U);
    const auto& first = answer["attempt_history"][0];
    EXPECT_EQ(first["attempt"], 1);
    EXPECT_EQ(first["status"], "failed");
    EXPECT_EQ(first["duration_ms"], 1500);
    EXPECT_EQ(first["error"]["error_type"], "NetworkError");
    EXPECT_GE(first["pause_seconds"].get<double>(), 0);
    EXPECT_EQ(answer["attempt_history"][1]["error"]["message"], "no luck");
    EXPECT_EQ(answer["task_name"], "pair");
    EXPECT_EQ(answer["dead_letter_id"], 1);
    const auto unknown = run({"step", "show", "4711"});
    EXPECT_EQ(unknown.code, 4);
    EXPECT_THAT(unknown.err, HasSubstr("there is no step 4711"));
}

TEST_F(Showing, AnAttemptThatIsOutOrWasHandedBack) {
    const auto task = scene.submit(scene.draw("one", "pay"));
    const auto step = scene.step_id(task, "pay");
    EXPECT_THAT(run({"step", "show", id(step)}).out, HasSubstr("no attempt has been sent to a worker"));
    scene.give_back(scene.take_step("pay"), "draining");
    scene.take_step("pay");
    const auto attempts = run({"step", "show", id(step), "--json"}).json()["attempt_history"];
    ASSERT_EQ(attempts.size(), 2U);
    EXPECT_EQ(attempts[0]["status"], "handed_back");
    EXPECT_EQ(attempts[0]["reason"], "draining");
    EXPECT_EQ(attempts[1]["status"], "sent");
    EXPECT_TRUE(attempts[1]["pause_seconds"].is_null());
    const auto shown = run({"step", "show", id(step)});
    EXPECT_THAT(shown.out, HasSubstr("handed_back (draining)"));
    EXPECT_THAT(shown.out, HasSubstr("1 of 3")) << "what was handed back does not count";
}

TEST_F(Showing, ATaskWithTheAttemptsOfWhatFailed) {
    const auto task = repeated();
    const auto shown = run({"task", "show", id(task)});
    EXPECT_THAT(shown.out, HasSubstr("attempts of step " + id(scene.step_id(task, "pay")) + " (pay)"));
    EXPECT_THAT(shown.out, HasSubstr("NetworkError: gateway timed out"));
    EXPECT_THAT(shown.out, Not(HasSubstr("(ship)"))) << "it was never tried";
    const auto steps = run({"task", "show", id(task), "--json"}).json()["steps"];
    EXPECT_EQ(steps[0]["attempt_history"].size(), 2U);
    EXPECT_TRUE(steps[1]["attempt_history"].is_null());
}

TEST_F(Showing, TheBacktraceOfAnError) {
    const auto task = repeated();
    scene.execute(
        R"(UPDATE tasker_workflow_steps SET error = '{"error_type": "KeyError", "message": "KeyError: nope",)"
        R"( "error_code": "E17", "backtrace": ["pay.py:29 in process", "bad \u001b[2J line"]}' WHERE name = 'pay')");
    const auto shown = run({"task", "show", id(task), "--error", "pay"});
    EXPECT_EQ(shown.code, 0) << shown.err;
    EXPECT_THAT(shown.out, HasSubstr("\nKeyError: nope\n  error_code: E17\n    pay.py:29 in process\n"));
    EXPECT_THAT(shown.out, HasSubstr("bad \\u001b[2J line"));
    const auto step = id(scene.step_id(task, "pay"));
    EXPECT_EQ(run({"task", "show", id(task), "--error", step}).out, shown.out) << "by its id, too";
    EXPECT_EQ(run({"task", "show", id(task), "--error", "pay", "--json"}).json()["error"]["error_code"],
              "E17");
    EXPECT_THAT(run({"task", "show", id(task), "--error", "ship"}).out, HasSubstr("has no error"));
    const auto unknown = run({"task", "show", id(task), "--error", "pya"});
    EXPECT_EQ(unknown.code, 4);
    EXPECT_THAT(unknown.err, HasSubstr("has no step \"pya\""));
    scene.execute(R"(UPDATE tasker_workflow_steps SET error = '{"message": "no luck"}' WHERE name = 'pay')");
}

TEST_F(Showing, NothingNeedsAttention) {
    const auto calm = run({"attention"});
    EXPECT_EQ(calm.code, 0) << calm.err;
    EXPECT_EQ(calm.out, "nothing needs you\n");
    const auto answer = run({"attention", "--json"});
    EXPECT_EQ(answer.code, 0);
    for (const char* kind : {"orchestrator", "failed_tasks", "dead_letters", "unserved_handlers",
                             "discrepancies", "stuck_tasks"}) {
        EXPECT_EQ(answer.json()[kind], (json{{"total", 0}, {"items", json::array()}})) << kind;
    }
}

TEST_F(Showing, WhatNeedsAttention) {
    const auto failed = failed_tasks(3);
    const auto task = repeated();
    const auto shown = run({"attention", "--limit", "2"});
    EXPECT_EQ(shown.code, 1);
    EXPECT_THAT(shown.out, HasSubstr("3 failed tasks"));
    EXPECT_THAT(shown.out, HasSubstr("tasker task show " + id(failed[2])));
    EXPECT_THAT(shown.out, HasSubstr("step pay: no luck"));
    EXPECT_THAT(shown.out, HasSubstr("and 1 more; `tasker task list --state error` lists them"));
    EXPECT_THAT(shown.out, HasSubstr("1 dead letters"));
    EXPECT_THAT(shown.out, HasSubstr("retries_exhausted: no luck"));
    EXPECT_THAT(shown.out, HasSubstr("tasker dlq show 1"));
    EXPECT_THAT(shown.out, Not(HasSubstr("task show " + id(task)))) << "it is named by its dead letter";
    const auto answer = run({"attention", "--json"}).json();
    EXPECT_EQ(answer["failed_tasks"]["total"], 3);
    EXPECT_EQ(answer["failed_tasks"]["items"][0]["command"], "tasker task show " + id(failed[2]));
    EXPECT_GE(answer["dead_letters"]["items"][0]["age_seconds"].get<double>(), 0);
}

TEST_F(Showing, AHandlerThatNobodyServesNeedsAttention) {
    const auto task = scene.submit(scene.draw("one", "pay"));
    scene.submit(scene.draw("two", "pay"));
    const auto answer = run({"attention", "--json"}).json();
    ASSERT_EQ(answer["unserved_handlers"]["total"], 1) << answer.dump();
    EXPECT_EQ(answer["unserved_handlers"]["items"][0]["steps"], 2);
    const auto handler =
        scene.one("SELECT handler_class FROM tasker_workflow_steps WHERE task_id = " + id(task));
    const auto shown = run({"attention", "--stuck-after", "0"});
    EXPECT_EQ(shown.code, 1);
    EXPECT_THAT(shown.out, HasSubstr(handler + " (namespace shop)"));
    EXPECT_THAT(shown.out, HasSubstr("no worker serves it; 2 ready steps wait"));
    EXPECT_THAT(shown.out, Not(HasSubstr("stuck"))) << "the cause is known";
    scene.execute(
        "INSERT INTO tasker_workers (session, worker_id, capacity, state, epoch, handlers, namespaces)"
        " SELECT '00ff', 'w', 4, 'ready', coalesce(max(epoch), 1), '[\"*\"]', '[\"*\"]' FROM tasker_orchestrators");
    scene.execute("UPDATE tasker_workers SET handlers = to_jsonb(ARRAY['" + handler + "'])");
    EXPECT_EQ(run({"attention", "--json"}).json()["unserved_handlers"]["total"], 0);
    scene.execute("DELETE FROM tasker_workers");
}

TEST_F(Showing, ATaskThatNothingMovesNeedsAttention) {
    const auto task = scene.submit(scene.draw("one", "pay"));
    scene.execute(
        "UPDATE tasker_workflow_steps SET ready_key = NULL;"
        " UPDATE tasker_orchestrators SET last_seen_at = now() + interval '1 hour'");
    EXPECT_EQ(run({"attention", "--json"}).json()["stuck_tasks"]["total"], 0) << "not for long yet";
    const auto shown = run({"attention", "--stuck-after", "0"});
    EXPECT_THAT(shown.out, HasSubstr("1 stuck tasks"));
    EXPECT_THAT(shown.out, HasSubstr("nothing moves it (inconsistent)"));
    EXPECT_THAT(shown.out, HasSubstr("tasker task explain " + id(task)));
    scene.execute("UPDATE tasker_workflow_steps SET ready_key = handler_key");
}

TEST_F(Showing, WhatTheOrchestratorRefused) {
    EXPECT_EQ(run({"worker", "rejected"}).out, "no message was rejected\n");
    scene.execute(
        R"(INSERT INTO tasker_workers (session, worker_id, capacity, state, epoch) VALUES ('00ff', 'orders', 4, 'ready', 1);)"
        R"(INSERT INTO tasker_rejected_messages (topic, code, reason, session, raw) VALUES)"
        R"( ('results', 'bad_json', 'line 1: no value', '00ff', convert_to(E'{\u202e\x1b[2J', 'UTF8')),)"
        R"( (NULL, 'malformed', 'no UTF-8', NULL, '\xff00'), ('results', 'malformed', 'a zero', NULL, '\x6100'))");
    const auto shown = run({"worker", "rejected"});
    EXPECT_EQ(shown.code, 0) << shown.err;
    EXPECT_THAT(shown.out, HasSubstr("orders (00ff)"));
    EXPECT_THAT(shown.out, HasSubstr("{\\u202e\\u001b[2J"));
    EXPECT_THAT(shown.out, HasSubstr("hex ff00"));
    const auto answer = run({"worker", "rejected", "--json"}).json();
    ASSERT_EQ(answer.size(), 3U);
    EXPECT_EQ(answer[0]["raw_hex"], "6100");
    EXPECT_TRUE(answer[0]["raw_text"].is_null());
    EXPECT_EQ(answer[2]["raw_text"], "{\u202e\x1b[2J");
    EXPECT_EQ(answer[2]["worker_id"], "orders");
    EXPECT_THAT(run({"worker", "rejected", "--limit", "1"}).out,
                HasSubstr("the newest 1; --limit shows more"));
    scene.execute("DELETE FROM tasker_rejected_messages; DELETE FROM tasker_workers");
}

TEST_F(Showing, ListsPageAndNarrow) {
    const auto tasks = failed_tasks(3);
    const auto pair = repeated();
    const auto ids = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {"task", "list", "--json"});
        std::vector<std::int64_t> found;
        for (const auto& row : run(arguments).json()) found.push_back(row["task_id"]);
        return found;
    };
    using Ids = std::vector<std::int64_t>;
    EXPECT_EQ(ids({"--limit", "2"}), (Ids{pair, tasks[2]}));
    EXPECT_THAT(run({"task", "list", "--limit", "2"}).out, HasSubstr("--before " + id(tasks[2])));
    EXPECT_EQ(ids({"--before", id(tasks[2])}), (Ids{tasks[1], tasks[0]}));
    EXPECT_EQ(ids({"--template", "shop/pair"}), (Ids{pair}));
    EXPECT_EQ(ids({"--template", "shop/pair:9.9.9"}), Ids{});
    EXPECT_EQ(ids({"--error", "NO LUCK"}).size(), 4U);
    EXPECT_EQ(ids({"--error", "100%"}), Ids{});
    EXPECT_EQ(ids({"--since", "1h"}).size(), 4U);
    EXPECT_EQ(ids({"--until", "1h"}), Ids{});
    EXPECT_EQ(ids({"--since", "2020-01-01", "--until", "2020-01-02T00:00:00Z"}), Ids{});
    const auto handler = scene.one("SELECT handler_class FROM tasker_workflow_steps WHERE name = 'ship'");
    const auto by_handler = ids({"--handler", handler});
    EXPECT_EQ(by_handler, scene.one("SELECT count(DISTINCT handler_class) FROM tasker_workflow_steps") == "1"
                              ? ids({})
                              : Ids{pair});
    EXPECT_EQ(ids({"--handler", "Nobody"}), Ids{});
    for (const char* option : {"--since", "--until"}) {
        const auto refused = run({"task", "list", option, "yesterday\u202e"});
        EXPECT_EQ(refused.code, 2);
        EXPECT_THAT(refused.err, HasSubstr(std::string(option) + ": \"yesterday\\u202e\" is no time"));
    }
    EXPECT_EQ(run({"dlq", "list", "--json", "--template", "shop/pair", "--error", "luck"}).json().size(), 1U);
    EXPECT_EQ(run({"dlq", "list", "--json", "--before", "1"}).json().size(), 0U);
    EXPECT_EQ(run({"dlq", "list", "--json", "--handler", "Nobody"}).json().size(), 0U);
    EXPECT_EQ(run({"dlq", "list", "--json", "--until", "1h"}).json().size(), 0U);
    EXPECT_EQ(run({"batch", "list", "--json"}).json().size(), 5U);
    EXPECT_EQ(run({"batch", "list", "--json", "--template", "shop/pair"}).json().size(), 2U);
    EXPECT_EQ(run({"batch", "list", "--json", "--error", "luck", "--limit", "3"}).json().size(), 3U);
    EXPECT_EQ(run({"batch", "list", "--json", "--handler", "Nobody"}).json().size(), 0U);
    EXPECT_EQ(run({"batch", "list", "--json", "--until", "1h"}).json().size(), 0U);
    EXPECT_THAT(run({"batch", "list", "--limit", "1"}).out, HasSubstr("--before 5 shows older ones"));
}

TEST_F(Showing, SeveralTasksAreOperatedOnInTurn) {
    const auto tasks = failed_tasks(3);
    const auto some = run({"task", "retry", id(tasks[0]), "4711", id(tasks[2])});
    EXPECT_EQ(some.code, 4) << "the code of the first that failed";
    EXPECT_THAT(some.err, HasSubstr("there is no task 4711"));
    EXPECT_EQ(states(), "in_progress error in_progress");
    const auto answer = run({"task", "retry", id(tasks[1]), id(tasks[0]), "--json"}).json();
    ASSERT_EQ(answer.size(), 2U);
    EXPECT_EQ(answer[0]["outcome"], "done");
    EXPECT_EQ(answer[1]["outcome"], "unchanged");
    EXPECT_EQ(run({"task", "retry", id(tasks[0]), "x"}).code, 2)
        << "nothing is done with a word that is no id";
}

TEST_F(Showing, IdsComeFromStandardInput) {
    const auto tasks = failed_tasks(2);
    const auto done =
        run_with_input({"task", "cancel", "-", "--json"}, id(tasks[0]) + "\n " + id(tasks[1]) + "\n");
    EXPECT_EQ(done.code, 0) << done.err;
    EXPECT_EQ(done.json().size(), 2U);
    EXPECT_EQ(states(), "cancelled cancelled");
    EXPECT_EQ(run_with_input({"task", "cancel", "-"}, "").code, 2);
    EXPECT_EQ(run_with_input({"task", "cancel", "-"}, "1 drop").code, 2);
    EXPECT_EQ(run_with_input({"task", "cancel", "-", "--json"}, id(tasks[0])).json().size(), 1U)
        << "always a list";
}

TEST_F(Showing, ADryRunChangesNothing) {
    const auto tasks = failed_tasks(2);
    const auto pair = repeated();
    const std::string history =
        "SELECT (SELECT count(*) FROM tasker_workflow_step_transitions) || ' ' ||"
        " (SELECT count(*) FROM tasker_dead_letters WHERE resolved_at IS NULL)";
    const auto before = scene.one(history);
    const auto step = id(scene.step_id(pair, "pay"));
    for (const auto& arguments :
         std::vector<std::vector<std::string>>{{"task", "cancel", id(tasks[0]), id(tasks[1])},
                                               {"task", "retry", id(tasks[0])},
                                               {"step", "retry", step},
                                               {"step", "cancel", id(scene.step_id(pair, "ship"))},
                                               {"dlq", "replay", "1"},
                                               {"dlq", "discard", "1"}}) {
        auto dry = arguments;
        dry.push_back("--dry-run");
        const auto shown = run(dry);
        EXPECT_EQ(shown.code, 0) << arguments[0] << " " << arguments[1] << shown.err;
        EXPECT_THAT(shown.err, HasSubstr("nothing was changed: --dry-run"));
        EXPECT_NE(shown.out, "");
        EXPECT_EQ(scene.one(history), before) << arguments[0] << " " << arguments[1];
    }
    EXPECT_EQ(run({"dlq", "replay", "1", "4711", "--dry-run"}).code, 4);
    EXPECT_EQ(scene.one(history), before);
}

TEST_F(Showing, NoHostileTextReachesTheTerminal) {
    const auto task = repeated();
    scene.execute(
        R"(UPDATE tasker_tasks SET reason = E'\u202e\u009bx', initiator = E'\x1b[2J', tags = '["\u2066\u0007"]',)"
        R"( context = '{"\u202e": "\u009b"}'; UPDATE tasker_workflow_steps SET error =)"
        R"( '{"error_type": "\u202e", "message": "\u001b]0;x\u0007\u009b2J", "backtrace": ["\u202e"]}' WHERE name = 'pay';)"
        R"(UPDATE tasker_dead_letters SET last_error = '{"message": "\u001b[2J\u202e"}', last_worker = E'\u202e';)"
        R"(INSERT INTO tasker_workers (session, worker_id, capacity, state, epoch, handlers, host, language) VALUES)"
        R"( ('00ff', E'\u202e\x1b[2J', 4, 'ready', 1, '["\u009b"]', E'\u2067', E'\u009b'))");
    const std::vector<std::vector<std::string>> commands = {{"task", "list"},
                                                            {"task", "show", id(task), "--history"},
                                                            {"task", "show", id(task), "--error", "pay"},
                                                            {"task", "explain", id(task)},
                                                            {"step", "show", id(scene.step_id(task, "pay"))},
                                                            {"dlq", "list"},
                                                            {"dlq", "show", "1"},
                                                            {"worker", "list"},
                                                            {"batch", "list"},
                                                            {"batch", "show", "1"},
                                                            {"attention"},
                                                            {"worker", "drain", "\u202e\u001b[2J"},
                                                            {"worker", "drain", "no\u202e"},
                                                            {"health"},
                                                            {"task", "show", "\u202e7"},
                                                            {"task", "list", "--state", "\u202e\u009b"},
                                                            {"batch", "list", "--state", "\u202e\u009b"},
                                                            {"task", "submit", "a/\u202e"},
                                                            {"batch", "show", "\u202e"}};
    for (const auto& arguments : commands) {
        const auto shown = run(arguments);
        for (const char* bad : {"\u202e", "\u009b", "\u2066", "\u2067", "\x1b", "\x07"}) {
            EXPECT_THAT(shown.out + shown.err, Not(HasSubstr(bad)))
                << arguments[0] << " " << (arguments.size() > 1 ? arguments[1] : "");
        }
    }
    EXPECT_EQ(run({"task", "show", id(task), "--json"}).json()["reason"], "\u202e\u009bx")
        << "JSON is as it is";
    scene.execute("DELETE FROM tasker_workers");
}

}  // namespace
}  // namespace tasker::cli
