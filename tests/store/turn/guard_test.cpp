// The fences of a turn: epoch, deadlock, and what a failure leaves behind.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "orchestrator/ports/database_error.hpp"
#include "tests/store/turn/scene.hpp"

namespace tasker::store {
namespace {

class Guard : public ::testing::Test {
  protected:
    void TearDown() override { EXPECT_EQ(scene.violations(), std::vector<std::string>{}); }

    // Everything a turn may write, in one text.
    std::string everything() {
        std::string text;
        for (const char* table :
             {"tasker_tasks", "tasker_workflow_steps", "tasker_task_transitions",
              "tasker_workflow_step_transitions", "tasker_step_execution_batches",
              "tasker_step_execution_batch_steps", "tasker_step_execution_batch_received_results",
              "tasker_step_execution_batch_transitions", "tasker_orchestrators"}) {
            text += scene.one(
                std::string("SELECT md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')) FROM ") +
                table + " x");
        }
        return text;
    }

    Scene scene;
};

TEST_F(Guard, OfTheEpochLetsAPredecessorWriteNothing) {
    scene.submit(scene.draw("single", "only"));
    const auto step = scene.claim(1).at(0);
    scene.submit_many(scene.draw("more", "one"), 3);
    scene.execute("UPDATE tasker_orchestrators SET epoch = epoch + 1, instance = 'another'");
    const auto before = everything();
    auto input = scene.claiming({{"s1", 5}});
    input.messages = {Scene::report(step)};
    EXPECT_THROW(scene.turn(input), ports::EpochLost);
    EXPECT_EQ(everything(), before);
    EXPECT_THROW(scene.store().resume_epoch(scene.epoch()), ports::EpochLost);
}

TEST_F(Guard, OfTheLaneIsHeldByOneConnectionAtATime) {
    TurnStore second(scene.url(), {"another", "localhost", 2, "{}"});
    EXPECT_FALSE(second.take_instance_lock());
    EXPECT_NE(second.lock_holder().find("orchestrator-test"), std::string::npos) << second.lock_holder();
}

TEST_F(Guard, ResumedEpochContinuesWithTheLastCommittedTurn) {
    scene.submit(scene.draw("single", "only"));
    scene.claim(1);
    scene.claim(1);
    EXPECT_EQ(scene.last_turn(), 2);
    scene.reopen_store();
    EXPECT_EQ(scene.last_turn(), 2);
}

TEST_F(Guard, TheTurnRunsWithThePlannerSettingsOfItsLane) {
    scene.execute("CREATE TABLE seen (name text, setting text)");
    scene.execute(
        "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO seen SELECT name, current_setting(name) FROM unnest('{enable_seqscan,"
        "enable_mergejoin,enable_bitmapscan,enable_memoize,jit,plan_cache_mode}'::text[]) name; RETURN NULL; "
        "END $$; CREATE TRIGGER see AFTER INSERT ON tasker_step_execution_batches EXECUTE FUNCTION see()");
    scene.submit(scene.draw("single", "only"));
    scene.claim(1);
    EXPECT_EQ(scene.list("SELECT name || '=' || setting FROM seen ORDER BY name"),
              "enable_bitmapscan=off enable_memoize=off enable_mergejoin=off enable_seqscan=off jit=off "
              "plan_cache_mode=force_generic_plan");
}

TEST_F(Guard, ADataErrorIsToldApartAndWritesNothing) {
    scene.submit(scene.draw("single", "only"));
    const auto step = scene.claim(1).at(0);
    auto broken = Scene::report(step);
    broken.output_json = R"({"no jsonb holds":"\u0000"})";
    const auto before = everything();
    ports::TurnInput input;
    input.messages = {broken};
    try {
        scene.turn(input);
        FAIL() << "must throw";
    } catch (const ports::DatabaseError& error) {
        EXPECT_EQ(error.fault(), ports::DatabaseFault::data) << error.what();
    }
    EXPECT_EQ(everything(), before);
    EXPECT_EQ(scene.apply({Scene::report(step)}), "applied") << "the connection is still of use";
}

TEST_F(Guard, ALostConnectionIsToldApart) {
    scene.submit(scene.draw("single", "only"));
    scene.claim(1);
    scene.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
        "'tasker-orchestrator lane' AND datname = current_database()");
    try {
        scene.claim(1);
        FAIL() << "must throw";
    } catch (const ports::DatabaseError& error) {
        EXPECT_EQ(error.fault(), ports::DatabaseFault::connection) << error.what();
    }
}

// Neither a bad message nor a lost one: whoever refused it for good would lose a result.
TEST_F(Guard, ATurnThatTheServerCancelsIsNotTakenForABadMessage) {
    scene.submit(scene.draw("single", "only"));
    const auto step = scene.claim(1).at(0);
    // Shorter than the lane's own lock_timeout. (A limit of the database or the role does not count.)
    ::setenv("PGOPTIONS", "-c statement_timeout=100", 1);
    scene.reopen_store();
    ::unsetenv("PGOPTIONS");
    postgres::Connection other(scene.url());
    auto holding = other.begin();
    holding.query("SELECT 1 FROM tasker_tasks WHERE task_id = $1 FOR UPDATE", step.task_id);
    ports::TurnInput input;
    input.messages = {Scene::report(step)};
    try {
        scene.turn(input);
        FAIL() << "must throw";
    } catch (const ports::DatabaseError& error) {
        EXPECT_EQ(error.fault(), ports::DatabaseFault::refused) << error.what();
    }
    holding.roll_back();
    EXPECT_EQ(scene.apply({Scene::report(step)}), "applied");
}

TEST_F(Guard, ABatchThatIsNotInTheExpectedStateRepeatsTheTurnAndWritesNothing) {
    scene.submit(scene.draw("single", "only"));
    const auto step = scene.claim(1).at(0);
    const auto before = everything();
    ports::TurnInput input;
    input.messages = {Scene::report(step)};
    ports::BatchChange change;
    change.batch_id = step.batch_id;
    change.from = core::BatchState::executing;  // it is published
    change.to = core::BatchState::completed;
    change.transitions = 1;
    input.batches = {change};
    try {
        scene.turn(input);
        FAIL() << "must throw";
    } catch (const ports::DatabaseError& error) {
        EXPECT_EQ(error.fault(), ports::DatabaseFault::repeatable) << error.what();
    }
    EXPECT_EQ(everything(), before);
}

// Another connection holds a step and wants its task, the turn holds the task and wants the step.
// The lane does not wait long enough to be found as a deadlock: it gives way first.
TEST_F(Guard, ADeadlockEndsAsALockThatIsNotToBeHadAndTheRepeatedTurnSucceeds) {
    const auto task = scene.submit(scene.draw("single", "only"));
    const auto step = scene.claim(1).at(0);
    postgres::Connection other(scene.url());
    other.execute("SET deadlock_timeout = '1h'");
    auto holding = other.begin();
    holding.query("SELECT 1 FROM tasker_workflow_steps WHERE workflow_step_id = $1 FOR UPDATE", step.step_id);
    std::thread blocked([&] {
        // Waits until the turn has the task and waits for the step, then closes the circle.
        postgres::Connection watcher(scene.url());
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (std::chrono::steady_clock::now() < limit) {
            const auto rows = watcher.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
                "wait_event_type = 'Lock' "
                "AND application_name = 'tasker-orchestrator lane'");
            if (rows.at(0)[0].as<int>() == 1) break;
        }
        holding.query("SELECT 1 FROM tasker_tasks WHERE task_id = $1 FOR UPDATE", task);
        holding.roll_back();
    });
    ports::TurnInput input;
    input.messages = {Scene::report(step)};
    bool gave_way = false;
    try {
        scene.store().run_turn(scene.last_turn() + 1, input);
    } catch (const ports::DatabaseError& error) {
        gave_way = true;
        EXPECT_EQ(error.fault(), ports::DatabaseFault::locked) << error.what();
    }
    blocked.join();
    EXPECT_TRUE(gave_way);
    EXPECT_EQ(scene.state_of(step.step_id), "in_progress");
    EXPECT_EQ(scene.turn(input).reports.at(0).disposition, "applied");
    EXPECT_EQ(scene.task_state(task), "complete");
}

}  // namespace
}  // namespace tasker::store
