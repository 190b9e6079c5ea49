// Operators beside turns, from two connections: who waits for whom, and that nobody waits in a circle.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <iostream>
#include <random>
#include <thread>

#include "orchestrator/store/turn_parameters.hpp"
#include "tests/store/operators/operator_scene.hpp"
#include "tests/support/wait_until.hpp"

namespace tasker::api {
namespace {

using std::chrono::seconds;

class Beside : public ::testing::Test {
  protected:
    void TearDown() override { EXPECT_EQ(scene.found_by_checks(), ""); }

    /// The next turn, in a transaction of the caller's.
    void turn_in(postgres::Transaction& transaction, const ports::TurnInput& input) {
        const auto parameters = turn_parameters({0, 1, scene.epoch(), 1000, "orchestrator-test", input});
        transaction.query(turn_statement(), pqxx::prepare::make_dynamic_params(parameters));
    }
    /// Runs a call on a connection of its own in another thread.
    std::future<std::string> start(const std::string& call) {
        return std::async(std::launch::async, [url = scene.url(), call] {
            postgres::Connection connection(url);
            return connection.execute("SELECT r.outcome FROM " + call + " r").at(0)[0].as<std::string>();
        });
    }
    bool somebody_waits_for_a_lock() {
        return test::wait_until(
            [&] {
                return scene.one(
                           "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                           "AND wait_event_type = 'Lock'") != "0";
            },
            seconds(30));
    }

    OperatorScene scene;
};

TEST_F(Beside, AClaimTheCancelWaitsAndThenCancelsARunningStep) {
    const auto task = scene.submit(scene.draw("pair", "a\nb"));
    scene.take_step("a");
    const auto b = scene.step_id(task, "b");
    postgres::Connection listener(scene.url());
    postgres::Transaction turn = listener.begin();
    auto input = scene.claiming({{"s1", 1}});
    input.batch_size = 1;
    turn_in(turn, input);  // claims b; the task is in progress, so its row is not locked
    auto cancelled = start("tasker_cancel_step(" + std::to_string(b) + ")");
    ASSERT_TRUE(somebody_waits_for_a_lock());
    turn.commit();
    EXPECT_EQ(cancelled.get(), "done");
    EXPECT_EQ(scene.step_history(b), "create=pending claim=in_progress cancel=cancelled");
}

TEST_F(Beside, AClaimTheCancelOfTheTaskWaitsToo) {
    const auto task = scene.submit(scene.draw("pair", "a\nb"));
    scene.take_step("a");
    postgres::Connection listener(scene.url());
    postgres::Transaction turn = listener.begin();
    auto input = scene.claiming({{"s1", 1}});
    input.batch_size = 1;
    turn_in(turn, input);
    auto cancelled = start("tasker_cancel_task(" + std::to_string(task) + ")");
    ASSERT_TRUE(somebody_waits_for_a_lock());
    turn.commit();
    EXPECT_EQ(cancelled.get(), "done");
    EXPECT_EQ(scene.task_state(task), "cancelled");
}

TEST_F(Beside, ACancelNotYetCommittedNothingOfTheTaskIsClaimed) {
    const auto task = scene.submit(scene.draw("pair", "a\nb"));
    postgres::Connection person(scene.url());
    postgres::Transaction operation = person.begin();
    operation.query("SELECT tasker_cancel_task($1)", task);
    EXPECT_EQ(scene.take().size(), 0U);
    operation.commit();
    EXPECT_EQ(scene.take().size(), 0U);
    EXPECT_EQ(scene.task_history(task), "create=pending cancel=cancelled");
}

TEST_F(Beside, ACancelNotYetCommittedAReportWaitsAndComesTooLate) {
    const auto task = scene.submit(scene.draw("single", "a"));
    const auto a = scene.take_step("a");
    postgres::Connection person(scene.url());
    postgres::Transaction operation = person.begin();
    operation.query("SELECT tasker_cancel_task($1)", task);
    auto reported = std::async(std::launch::async,
                               [&, report = Scene::report(a)] { return scene.answer(a, "completed"); });
    ASSERT_TRUE(test::wait_until(
        [&] {
            postgres::Connection watcher(scene.url());
            return watcher
                       .execute(
                           "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
                           "wait_event_type = 'Lock'")
                       .at(0)[0]
                       .as<int>() > 0;
        },
        seconds(30)));
    operation.commit();
    EXPECT_EQ(reported.get(), "late");
    EXPECT_EQ(scene.state_of(a.step_id), "cancelled");
}

TEST_F(Beside, EachOtherTwoOperatorsDoOneThingOnce) {
    scene.submit(scene.draw("single", "a"));
    const auto a = scene.fail("a").step_id;
    postgres::Connection person(scene.url());
    postgres::Transaction operation = person.begin();
    operation.query("SELECT tasker_retry_step($1)", a);
    auto second = start("tasker_retry_step(" + std::to_string(a) + ", 1)");
    ASSERT_TRUE(somebody_waits_for_a_lock());
    operation.commit();
    EXPECT_EQ(second.get(), "unchanged");
    EXPECT_EQ(scene.one("SELECT retry_limit FROM tasker_workflow_steps"), "4")
        << "one attempt failed, and three more are given once";
}

// No deadlock is repeated away here: any would fail the test. The turns claim, answer and hand back while two
// people do whatever comes to their mind, many steps of many tasks at once.
TEST_F(Beside, TurnsAndTwoPeopleNobodyDeadlocks) {
    const auto wide = scene.draw("wide", "a limit=2\nb <- a\nc <- a\nd <- b c\ne @Other\nf <- d e");
    const auto tasks = scene.submit_many(wide, 12);
    const auto last_step = scene.number("SELECT max(workflow_step_id) FROM tasker_workflow_steps");
    const auto first_step = scene.number("SELECT min(workflow_step_id) FROM tasker_workflow_steps");
    const char* given = std::getenv("TASKER_TEST_SEED");
    const unsigned seed =
        given != nullptr ? static_cast<unsigned>(std::stoul(given)) : std::random_device{}();
    std::cout << "TASKER_TEST_SEED=" << seed << std::endl;
    std::atomic<bool> stop{false};
    std::atomic<int> operations{0};
    const auto person = [&](unsigned own_seed) {
        std::mt19937 random(own_seed);
        const auto pick = [&](std::int64_t low, std::int64_t high) {
            return std::uniform_int_distribution<std::int64_t>(low, high)(random);
        };
        postgres::Connection connection(scene.url());
        const char* functions[] = {"tasker_retry_step", "tasker_retry_step", "tasker_resolve_step",
                                   "tasker_cancel_step"};
        while (!stop) {
            const auto dice = pick(0, 19);
            const auto task = tasks[static_cast<std::size_t>(pick(0, 11))];
            if (dice == 0) {
                connection.query("SELECT tasker_cancel_task($1)", task);
            } else if (dice < 8) {
                connection.query("SELECT tasker_retry_task($1)", task);
            } else if (pick(0, 3) > 0 || dice < 16) {
                connection.query(std::string("SELECT ") + functions[pick(0, 2)] + "($1)",
                                 pick(first_step, last_step));
            } else {
                connection.query("SELECT tasker_cancel_step($1)", pick(first_step, last_step));
            }
            ++operations;
        }
    };
    auto one = std::async(std::launch::async, person, seed);
    auto two = std::async(std::launch::async, person, seed + 1);
    std::mt19937 random(seed + 2);
    for (int round = 0; round < 60; ++round) {
        for (const auto& claim : scene.take(4)) {
            const auto dice = random() % 10;
            if (dice == 0) {
                const auto state = scene.state_of(claim.step_id);
                if (state == "in_progress") {
                    scene.answer(claim, "failed");
                    continue;
                }
            }
            scene.answer(claim, dice < 6 ? "completed" : dice < 8 ? "failed" : "error");
        }
    }
    stop = true;
    EXPECT_NO_THROW(one.get());
    EXPECT_NO_THROW(two.get());
    EXPECT_GT(operations, 100);
}

}  // namespace
}  // namespace tasker::api
