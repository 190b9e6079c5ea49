// Turns, operators and retention at once, from three connections.
#include <gtest/gtest.h>

#include <atomic>
#include <exception>
#include <future>
#include <thread>

#include "orchestrator/engine/upkeep/retention.hpp"
#include "orchestrator/ports/database_error.hpp"
#include "tests/store/retention/retention_scene.hpp"
#include "tests/support/wait_until.hpp"

namespace tasker::store {
namespace {

using std::chrono::milliseconds;

TEST(BesideRetention, TurnsGoOnWhilePartitionsComeAndGo) {
    RetentionScene scene;
    const auto pair = scene.draw("pair", "a\nb <- a");
    std::atomic<bool> stop{false};
    std::atomic<int> dropped{0};
    auto retention = std::async(std::launch::async, [&] {
        RetentionStore store(scene.url(), scene.epoch());
        ports::RetentionSettings settings;
        settings.partition_rows = 100;
        settings.look_again = milliseconds(0);
        ports::RetentionWatch watch{[&](const ports::RetentionAction& action) {
                                        if (action.what == "range_dropped" || action.what == "range_sieved")
                                            ++dropped;
                                    },
                                    [](milliseconds time) {
                                        std::this_thread::sleep_for(time / 20);
                                        return true;
                                    }};
        while (!stop) store.run_pass(settings, watch);
    });
    int submitted = 0;
    const auto enough = [&] { return submitted >= 1500 && dropped >= 6; };
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(120);
    // What the engine does with a lock that is not to be had: the same turn again.
    const auto patiently = [&](const auto& action) {
        for (;;) {
            try {
                return action();
            } catch (const ports::DatabaseError& error) {
                if (error.fault() != ports::DatabaseFault::locked &&
                    error.fault() != ports::DatabaseFault::repeatable)
                    throw;
            }
        }
    };
    while (!enough() && std::chrono::steady_clock::now() < give_up) {
        scene.submit_many(pair, 30);
        submitted += 30;
        patiently([&] { scene.finish_all(); });
        scene.execute(
            "UPDATE tasker_tasks SET created_at = created_at - interval '40 days', completed_at = "
            "completed_at - "
            "interval '40 days' WHERE completed_at > now() - interval '1 day' AND task_id % 37 <> 0");
        scene.execute(
            "UPDATE tasker_step_execution_batches SET created_at = created_at - interval '40 days', "
            "updated_at = "
            "updated_at - interval '40 days' WHERE updated_at > now() - interval '1 day' AND "
            "reconciliation_status "
            "<> 'pending'");
    }
    stop = true;
    retention.get();
    EXPECT_TRUE(enough()) << submitted << " tasks, " << dropped << " ranges";
    EXPECT_EQ(scene.found_by_checks(), "");
    EXPECT_EQ(scene.number(
                  "SELECT coalesce(sum(rows_dropped), 0) FROM tasker_dropped_ranges WHERE axis = 'task_id'") +
                  scene.count("tasker_tasks"),
              submitted);
}

// Shutting down does not wait for whoever is in retention's way.
TEST(BesideRetention, StopBreaksOffAStatementThatHangs) {
    RetentionScene scene;
    scene.finished(50);
    scene.close_ranges();
    scene.age(40);
    postgres::Connection console(scene.url());
    postgres::Transaction holding = console.begin();
    holding.execute("LOCK TABLE tasker_dropped_ranges IN ACCESS EXCLUSIVE MODE");
    engine::Retention::Hooks hooks;
    hooks.settings.days = 30;
    hooks.settings.check_interval = milliseconds(10);
    engine::Retention retention(
        [&]() -> std::unique_ptr<ports::Retention> {
            const auto& url = scene.url();
            return std::make_unique<RetentionStore>(url + " options='-c lock_timeout=0'", scene.epoch());
        },
        hooks);
    std::thread thread([&] { retention.run(); });
    const auto waits = [&] {
        return scene.one(
                   "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
                   "application_name = 'tasker-orchestrator retention' AND wait_event_type = 'Lock'") != "0";
    };
    EXPECT_TRUE(test::wait_until(waits, std::chrono::seconds(30)));
    const auto begin = std::chrono::steady_clock::now();
    retention.stop();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
    thread.join();
    holding.roll_back();
    EXPECT_EQ(scene.count("tasker_tasks"), 50);
    EXPECT_EQ(scene.found_by_checks(), "");
}

}  // namespace
}  // namespace tasker::store
