// What retention takes away, and everything that it must leave.
#include <gtest/gtest.h>

#include "orchestrator/ports/store.hpp"
#include "tests/store/retention/retention_scene.hpp"

namespace tasker::store {
namespace {

class Dropping : public ::testing::Test {
  protected:
    void TearDown() override { EXPECT_EQ(scene.found_by_checks(), ""); }

    /// 50 complete tasks in ranges of their own, ended 40 days ago.
    std::vector<std::int64_t> old_tasks() {
        const auto ids = scene.finished(50);
        scene.close_ranges();
        scene.age(40);
        return ids;
    }
    static std::string in(const std::vector<std::int64_t>& ids) {
        std::string text = "task_id IN (";
        for (const auto id : ids) text += (text.back() == '(' ? "" : ", ") + std::to_string(id);
        return text + ")";
    }

    RetentionScene scene;
};

TEST_F(Dropping, OldTasksAndTheirBatchesGo) {
    old_tasks();
    EXPECT_EQ(scene.finished(5).front(), 1'000'001);
    EXPECT_EQ(scene.pass(), "range_dropped task_id 50/0, range_dropped batch_id 50/0");
    EXPECT_EQ(scene.bounds("task_id"), "1000001-2000001 2000001-");
    EXPECT_EQ(scene.list("SELECT task_id FROM tasker_tasks ORDER BY 1"),
              "1000001 1000002 1000003 1000004 1000005");
    for (const auto& table : scene.tables()) {
        if (table == "tasker_workflow_step_edges") continue;
        EXPECT_LE(scene.count(table), 5 * 4) << table;
    }
    EXPECT_EQ(scene.pass(), "");
    EXPECT_EQ(scene.one("SELECT count(*) FROM get_task_execution_context(1)"), "0");
}

TEST_F(Dropping, NothingGoesBeforeItsTimeOrForEver) {
    scene.finished(50);
    scene.close_ranges();
    scene.age(29);
    EXPECT_EQ(scene.pass(30), "");
    scene.age(40);
    EXPECT_EQ(scene.pass(0), "");
    EXPECT_EQ(scene.count("tasker_tasks"), 50);
}

TEST_F(Dropping, TheTimeCountsFromTheEndOfATask) {
    old_tasks();
    scene.execute("UPDATE tasker_tasks SET completed_at = now() WHERE task_id <= 30");
    EXPECT_EQ(scene.pass(), "range_kept task_id 0/30, range_kept batch_id 0/50");
    EXPECT_EQ(scene.count("tasker_tasks"), 50);
}

TEST_F(Dropping, TheRangeInUseStays) {
    scene.finished(50);
    scene.age(40);
    EXPECT_EQ(scene.pass(1000), "");
    EXPECT_EQ(scene.count("tasker_tasks"), 50);
}

// A few of many must stay: one that was never started, one in the middle of its steps, one with an open dead
// letter and one whose delivery is still out although it was cancelled. One in error that nobody is told of
// goes.
TEST_F(Dropping, TheFewThatMustStayAreMovedOutOfTheWay) {
    const auto pair = scene.draw("pair", "a\nb <- a");
    const auto started = scene.submit(pair);
    scene.answer(scene.take_step("a"), "completed");
    const auto out = scene.take_step("b");
    const auto dead = scene.submit(scene.draw("hopeless", "no limit=1"));
    scene.exhaust("no");
    const auto wrong = scene.submit(scene.draw("wrong", "bad"));
    scene.fail("bad");
    const auto cancelled = scene.submit(scene.draw("slow", "slow"));
    const auto slow = scene.take_step("slow");
    EXPECT_EQ(scene.told("tasker_cancel_task(" + std::to_string(cancelled) + ")"), "done");
    scene.finished(60);
    const auto waiting = scene.submit(pair);
    scene.close_ranges();
    scene.age(40);
    const std::vector<std::int64_t> staying{started, dead, cancelled, waiting};
    std::vector<std::string> before;
    for (const auto& table : scene.tables("task_id")) before.push_back(scene.contents(table, in(staying)));

    EXPECT_EQ(scene.pass(), "range_sieved task_id 61/4, range_sieved batch_id 61/4");
    std::vector<std::string> after;
    for (const auto& table : scene.tables("task_id")) after.push_back(scene.contents(table, in(staying)));
    EXPECT_EQ(after, before);
    EXPECT_EQ(scene.count("tasker_tasks"), 4);
    EXPECT_EQ(scene.one("SELECT count(*) FROM tasker_tasks WHERE task_id = " + std::to_string(wrong)), "0");
    EXPECT_EQ(scene.bounds("task_id").substr(0, 9), "-1000001 ");
    EXPECT_EQ(scene.found_by_checks(), "");

    // They live: what is out comes back, what waited is claimed, the dead letter is replayed.
    EXPECT_EQ(scene.answer(out, "completed"), "applied");
    EXPECT_EQ(scene.answer(slow, "completed"), "late");
    EXPECT_EQ(scene.told("tasker_retry_task(" + std::to_string(dead) + ")"), "done");
    scene.finish_all();
    EXPECT_EQ(scene.list("SELECT state FROM tasker_tasks ORDER BY task_id"),
              "complete complete cancelled complete");
    EXPECT_EQ(scene.pass(), "range_kept task_id 0/3, range_kept batch_id 0/4");
    scene.age(40);
    EXPECT_EQ(
        scene.pass(),
        "range_dropped task_id 4/0, range_dropped batch_id 4/0, range_dropped batch_id 3/0, rows_deleted "
        "tasker_dead_letters 1/0");
}

TEST_F(Dropping, ManyThatMustStayKeepTheirRange) {
    scene.finished(50);
    const auto open = scene.submit_many(scene.draw("single", "only"), 10);
    scene.close_ranges();
    scene.age(40);
    EXPECT_EQ(scene.pass(), "range_kept task_id 0/10, range_kept batch_id 0/50");
    EXPECT_EQ(scene.count("tasker_tasks"), 60);
}

TEST_F(Dropping, ChildrenOutliveTheirParents) {
    const auto parent = old_tasks().front();
    const auto step = scene.number(
        "SELECT min(workflow_step_id) FROM tasker_workflow_steps WHERE task_id = " + std::to_string(parent));
    scene.submit(scene.draw("single", "only"), R"({"parent_task_id": )" + std::to_string(parent) +
                                                   R"(, "parent_step_id": )" + std::to_string(step) + "}");
    EXPECT_EQ(scene.pass(), "range_dropped task_id 50/0, range_dropped batch_id 50/0");
    EXPECT_EQ(scene.found_by_checks(), "");
    // A parent that was not dropped by anybody is still missed.
    scene.execute("UPDATE tasker_tasks SET parent_task_id = 999999999, parent_step_id = NULL");
    EXPECT_NE(scene.found_by_checks().find("task_parent"), std::string::npos);
    scene.execute("UPDATE tasker_tasks SET parent_task_id = NULL");
}

TEST_F(Dropping, WhatWasKeptIsStillMissedWhenItGetsLost) {
    scene.finished(50);
    const auto open = scene.submit(scene.draw("pair", "a\nb <- a"));
    scene.close_ranges();
    scene.age(40);
    scene.pass();
    const auto child =
        scene.submit(scene.draw("single", "only"), R"({"parent_task_id": )" + std::to_string(open) + "}");
    scene.execute("UPDATE tasker_tasks SET task_id = 500 WHERE task_id = " + std::to_string(open));
    EXPECT_NE(scene.found_by_checks().find("has parent task"), std::string::npos) << child;
    scene.execute("UPDATE tasker_tasks SET task_id = " + std::to_string(open) + " WHERE task_id = 500");
}

TEST_F(Dropping, ATaskThatComesBackMeanwhileIsNotDropped) {
    const auto wrong = scene.submit(scene.draw("wrong", "bad"));
    scene.fail("bad");
    old_tasks();
    const auto low = std::string("0, 1000001, now() - interval '30 days'");
    EXPECT_EQ(scene.one("SELECT staying FROM tasker_staying_ids('task_id', " + low + ", 10)"), "{}");
    EXPECT_EQ(scene.told("tasker_retry_task(" + std::to_string(wrong) + ")"), "done");
    try {
        scene.execute("SELECT tasker_drop_range('task_id', " + low + ", '{}')");
        ADD_FAILURE() << "it was dropped";
    } catch (const postgres::DatabaseError& error) {
        EXPECT_EQ(error.sqlstate(), "TK002") << error.what();
    }
    EXPECT_EQ(scene.pass(), "range_sieved task_id 50/1, range_sieved batch_id 50/1");
    scene.finish_all();
    EXPECT_EQ(scene.task_state(wrong), "complete");
}

TEST_F(Dropping, WhoReadsHoldsItUpAndNothingElse) {
    old_tasks();
    postgres::Connection console(scene.url());
    {
        postgres::Transaction reading = console.begin();
        reading.execute("SELECT count(*) FROM tasker_tasks");
        const auto text = scene.pass();
        EXPECT_EQ(text.substr(0, 27), "postponed task_id: ERROR:  ") << text;
        EXPECT_EQ(scene.count("tasker_tasks"), 50);
        scene.finished(3);  // turns go on all the while
    }
    EXPECT_EQ(scene.pass(), "range_dropped task_id 50/0, range_dropped batch_id 50/0");
}

TEST_F(Dropping, OneAtATime) {
    old_tasks();
    postgres::Connection other(scene.url());
    other.query("SELECT pg_advisory_lock(1, 2)");
    EXPECT_EQ(scene.pass(), "range_dropped task_id 50/0, range_dropped batch_id 50/0") << "another lock";
    postgres::Connection same(scene.url());
    same.query("SELECT pg_advisory_lock($1, 'public'::regnamespace::oid::int)", 0x74736b52);
    old_tasks();
    EXPECT_EQ(scene.pass(), "postponed another session runs retention");
}

TEST_F(Dropping, APredecessorMayNotDrop) {
    old_tasks();
    ports::RetentionSettings settings;
    ports::RetentionWatch watch{[](const ports::RetentionAction&) {},
                                [](std::chrono::milliseconds) { return true; }};
    RetentionStore predecessor(scene.url(), scene.epoch() - 1);
    EXPECT_THROW(predecessor.run_pass(settings, watch), ports::EpochLost);
    EXPECT_EQ(scene.count("tasker_tasks"), 50);
}

TEST_F(Dropping, MayBeBrokenOffAfterEveryAction) {
    old_tasks();
    for (int actions = 0; actions < 6; ++actions) {
        int left = actions;
        ports::RetentionSettings settings;
        ports::RetentionWatch watch{[&](const ports::RetentionAction&) { --left; },
                                    [&](std::chrono::milliseconds) { return left > 0; }};
        RetentionStore(scene.url(), scene.epoch()).run_pass(settings, watch);
        EXPECT_EQ(scene.found_by_checks(), "");
    }
    EXPECT_EQ(scene.count("tasker_tasks"), 0);
}

}  // namespace
}  // namespace tasker::store
