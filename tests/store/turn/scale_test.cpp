// Wide, deep and many: results first, then that no turn ever reads a hot table from end to end.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "tests/store/turn/scene.hpp"

namespace tasker::store {
namespace {

using Nothing = std::vector<std::string>;

ports::TurnInput finishing(const Scene& scene, const std::vector<ports::ClaimedStep>& claims, int slots) {
    auto input = scene.claiming({{"s1", slots}});
    for (const auto& claim : claims) input.messages.push_back(Scene::report(claim));
    return input;
}

TEST(Scale, OneToAThousandToOne) {
    Scene scene;
    std::string drawing = "start\n", end = "end <-";
    for (int i = 0; i < 1000; ++i) {
        drawing += "w" + std::to_string(i) + " <- start\n";
        end += " w" + std::to_string(i);
    }
    const auto task = scene.submit(scene.draw("wide", drawing + end + "\n"));
    auto claims = scene.claim(10);
    ASSERT_EQ(claims.size(), 1U);
    claims = scene.turn(finishing(scene, claims, 1000)).claims;
    ASSERT_EQ(claims.size(), 1000U);
    EXPECT_EQ(scene.number("SELECT count(*) FROM tasker_step_execution_batches"), 1 + 100);
    EXPECT_EQ(scene.violations(), Nothing{});
    claims = scene.turn(finishing(scene, claims, 1000)).claims;
    ASSERT_EQ(claims.size(), 1U);
    EXPECT_EQ(claims[0].name, "end");
    scene.turn(finishing(scene, claims, 0));
    EXPECT_EQ(scene.task_state(task), "complete");
    EXPECT_EQ(scene.violations(), Nothing{});
}

TEST(Scale, AChainOfAThousandStepsRunsOnePerTurn) {
    Scene scene;
    std::string drawing = "s0\n";
    for (int i = 1; i < 1000; ++i) {
        drawing += "s" + std::to_string(i) + " <- s" + std::to_string(i - 1) + "\n";
    }
    const auto task = scene.submit(scene.draw("deep", drawing));
    auto claims = scene.claim(1);
    for (int i = 0; i < 1000; ++i) {
        ASSERT_EQ(claims.size(), 1U) << i;
        ASSERT_EQ(claims[0].name, "s" + std::to_string(i));
        claims = scene.turn(finishing(scene, claims, 1)).claims;
    }
    EXPECT_TRUE(claims.empty());
    EXPECT_EQ(scene.task_state(task), "complete");
    EXPECT_EQ(scene.violations(), Nothing{});
}

// The session's plans are made while the tables are empty, and no statistics exist: whoever trusts the
// planner reads everything from then on.
TEST(Scale, ATurnAmongTwentyThousandOpenStepsStaysOnItsIndexes) {
    Scene scene;
    const auto chain = scene.draw("chain", "a @A\nb @B <- a\nc @C <- b\nd @D <- c\n");
    scene.submit(chain);
    auto claims = scene.claim(1);
    for (int i = 0; i < 8 && !claims.empty(); ++i) claims = scene.turn(finishing(scene, claims, 1)).claims;
    scene.submit_many(chain, 5000);
    claims = scene.claim(10);
    ASSERT_EQ(claims.size(), 10U);

    const auto scans = [&] {
        // The lane's own counters reach the view when its connection ends.
        scene.reopen_store();
        return scene.number(
            "SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname ~ '^tasker_(tasks|workflow_steps|"
            "workflow_step_edges|step_execution_batches|step_execution_batch_steps|"
            "step_execution_batch_received_results|step_execution_batch_transitions|"
            "workflow_step_transitions|task_transitions)_p[0-9]+$'");
    };
    const auto before = scans();
    std::vector<double> took;
    for (int i = 0; i < 60; ++i) {
        auto input = finishing(scene, claims, 10);
        input.due = i % 10 == 0;
        const auto start = std::chrono::steady_clock::now();
        claims = scene.turn(input).claims;
        took.push_back(
            std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
        ASSERT_EQ(claims.size(), 10U);
    }
    scene.store().next_due_in_ms();
    scene.store().load_open_batches();
    EXPECT_EQ(scans(), before) << "a turn read a whole table";
    std::sort(took.begin(), took.end());
    std::cout << "turn of 10 reports and 10 claims among 20 000 steps: median " << took[took.size() / 2]
              << " ms\n";
    // Index-driven it takes about 2 ms. The lower quartile, so that a busy machine does not fail the test.
    EXPECT_LT(took[took.size() / 4], 20.0);
}

// Autovacuum looks at one table after the other, so for a while the planner knows one of them well and of the
// others nothing: a step's parents were then looked for among all steps, and a turn took 400 ms.
TEST(Scale, ATurnReadsNoMoreWhicheverTableAloneWasAnalysed) {
    Scene scene;
    // On a slow machine autovacuum would analyse the other tables meanwhile.
    scene.execute(
        "DO $$ DECLARE v_table regclass; BEGIN FOR v_table IN SELECT oid FROM pg_class WHERE relkind = 'r' "
        "AND relname ~ '^tasker_(tasks|workflow_steps|workflow_step_edges)_p[0-9]+$' LOOP "
        "EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', v_table); END LOOP; END $$");
    const auto chain = scene.draw("chain", "a @A\nb @B <- a\nc @C <- b\nd @D <- c\n");
    scene.submit_many(chain, 5000);
    auto claims = scene.claim(20);
    ASSERT_EQ(claims.size(), 20U);
    // The lane's own counters reach the view when its connection ends; the next one makes plans of its own.
    const auto rows_read = [&] {
        scene.reopen_store();
        return scene.number(
            "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables "
            "WHERE relname ~ '^tasker_(tasks|workflow_steps|workflow_step_edges)_p[0-9]+$'");
    };
    for (const std::string table :
         {"none", "tasker_tasks", "tasker_workflow_steps", "tasker_workflow_step_edges"}) {
        SCOPED_TRACE(table);
        if (table != "none") {
            scene.execute(
                "DELETE FROM pg_statistic WHERE starelid IN (SELECT oid FROM pg_class WHERE relname LIKE "
                "'tasker_%')");
            scene.execute("ANALYZE " + table);
        }
        const auto before = rows_read();
        std::size_t reports = 0;
        for (int i = 0; i < 10; ++i) {
            reports += claims.size();
            claims = scene.turn(finishing(scene, claims, 20)).claims;
            ASSERT_EQ(claims.size(), 20U);
        }
        // Mostly 20 to 35 rows for a report. Now and then the planner takes another plan, of 113, for reasons that
        // are not known yet; the fault that this test is about took 250.
        EXPECT_LT(rows_read() - before, static_cast<std::int64_t>(reports) * 120);
    }
}

}  // namespace
}  // namespace tasker::store
