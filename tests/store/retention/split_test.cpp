// How partitions are made in time, and that nobody ever notices.
#include <gtest/gtest.h>

#include "tests/store/retention/retention_scene.hpp"

namespace tasker::store {
namespace {

class Splitting : public ::testing::Test {
  protected:
    void TearDown() override { EXPECT_EQ(scene.found_by_checks(), ""); }
    /// The last task id drawn, as if so many tasks had been created.
    void draw_up_to(std::int64_t id) {
        scene.execute("SELECT setval('tasker_tasks_task_id_seq', " + std::to_string(id) + ")");
    }

    RetentionScene scene;
};

TEST_F(Splitting, FreshTablesNeedNothing) {
    EXPECT_EQ(scene.split("task_id", 1'000'000, "'3 days'"), "");
    EXPECT_EQ(scene.split("batch_id", 1'000'000, "'3 days'"), "");
    EXPECT_EQ(scene.bounds("task_id"), "-1000001 1000001-");
}

TEST_F(Splitting, LaterPartitionsAreStoredAsTheFirstTwo) {
    scene.finished(120);
    scene.split("task_id", 100);
    scene.split("batch_id", 100);
    // The migrations name the storage parameters of the first two, tasker_partitioned_tables() those of the rest.
    EXPECT_EQ(scene.list("SELECT DISTINCT t.table_name FROM tasker_partitioned_tables() t"
                         " JOIN pg_inherits i ON i.inhparent = t.table_name::regclass"
                         " JOIN pg_class c ON c.oid = i.inhrelid"
                         " WHERE string_to_array(replace(t.options, ' = ', '='), ', ') <> c.reloptions"),
              "");
}

TEST_F(Splitting, TheNextPartitionIsReadyBeforeTheLastIsFull) {
    draw_up_to(99'999);
    EXPECT_EQ(scene.split("task_id", 1'000'000), "");
    draw_up_to(100'000);
    EXPECT_EQ(scene.split("task_id", 1'000'000), "bounded");
    EXPECT_EQ(scene.bounds("task_id"), "-1000001 1000001-2000001 2000001-");
    draw_up_to(999'998);
    scene.finished(4);
    EXPECT_EQ(scene.one("SELECT string_agg(DISTINCT tableoid::regclass::text, ' ') FROM tasker_tasks"),
              "tasker_tasks_p0 tasker_tasks_p1000001");
    EXPECT_EQ(scene.split("task_id", 1'000'000), "");
}

TEST_F(Splitting, AFullPartitionIsClosedByGoingOnBehindIt) {
    scene.finished(120);
    EXPECT_EQ(scene.split("task_id", 100), "bounded closed");
    EXPECT_EQ(scene.bounds("task_id"), "-1000001 1000001-1000101 1000101-");
    EXPECT_EQ(scene.finished(1).front(), 1'000'001);
    EXPECT_EQ(scene.split("task_id", 100), "");
}

TEST_F(Splitting, AnOldPartitionIsClosedToo) {
    scene.finished(3);
    EXPECT_EQ(scene.split("batch_id", 1'000'000, "'3 days'"), "");
    scene.age(4);
    EXPECT_EQ(scene.split("batch_id", 1'000'000), "");
    EXPECT_EQ(scene.split("batch_id", 1'000'000, "'3 days'"), "bounded closed");
    EXPECT_EQ(scene.split("batch_id", 1'000'000, "'3 days'"), "") << "the one in use has no row yet";
    scene.finished(1);
    EXPECT_EQ(scene.one("SELECT max(batch_id) FROM tasker_step_execution_batches"), "1000001");
}

TEST_F(Splitting, TheSequenceNeverGoesBack) {
    scene.finished(120);
    EXPECT_EQ(scene.split("task_id", 100, "NULL", 1), "bounded");
    // Somebody draws far more ids than anybody expected right before the close.
    draw_up_to(2'000'000);
    scene.split("task_id", 100);
    EXPECT_GT(scene.submit(scene.draw("single", "only")), 2'000'000);
    scene.finish_all();
}

TEST_F(Splitting, RowsInTheOpenPartitionAreNoHindrance) {
    scene.finished(120);
    scene.split("task_id", 100);
    scene.finished(250);  // 150 of them in the open one
    EXPECT_EQ(scene.split("task_id", 100),
              "marked validated validated validated validated validated bounded bounded closed");
    EXPECT_EQ(scene.bounds("task_id"),
              "-1000001 1000001-1000101 1000101-1001000250 1001000250-1001000350 1001000350-");
    EXPECT_EQ(scene.one("SELECT count(*) FROM pg_constraint WHERE conname LIKE 'tasker_open_until%'"), "0");
    EXPECT_EQ(scene.finished(1).front(), 1'001'000'250);
}

TEST_F(Splitting, MayBeBrokenOffAfterAndInEveryStep) {
    scene.finished(120);
    EXPECT_EQ(scene.split("task_id", 100), "bounded closed");
    scene.finished(250);
    for (int done = 0; done < 9; ++done) {
        // The orchestrator dies in the middle of the next step …
        {
            postgres::Connection dying(scene.url());
            postgres::Transaction step = dying.begin();
            step.query("SELECT done FROM tasker_split_partitions('task_id', 100, NULL)");
        }
        // … and life goes on, on tables that are all cut alike.
        scene.bounds("task_id");
        scene.finished(2);
        EXPECT_EQ(scene.found_by_checks(), "") << "after " << done << " steps";
        EXPECT_NE(scene.split("task_id", 100, "NULL", 1), "") << "after " << done << " steps";
    }
    scene.split("task_id", 100);
    EXPECT_EQ(scene.one("SELECT count(*) FROM pg_constraint WHERE conname LIKE 'tasker_open_until%'"), "0");
}

TEST_F(Splitting, PartitionsGetWiderTheMoreThereAre) {
    draw_up_to(999'990);
    for (int i = 0; i < 12; ++i) {
        scene.split("task_id", 1000);
        draw_up_to(scene.number("SELECT max(low) FROM tasker_partitions('task_id')") - 1);
    }
    EXPECT_EQ(scene.list("SELECT DISTINCT high - low FROM tasker_partitions('task_id') WHERE low IS NOT NULL "
                         "AND high IS NOT NULL ORDER BY 1"),
              "1000 2000");
}

}  // namespace
}  // namespace tasker::store
