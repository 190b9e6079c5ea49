// Migration 013 on tables that hold something, up, down and up again.
#include <gtest/gtest.h>

#include <map>

#include "orchestrator/store/migrator.hpp"
#include "tests/store/retention/retention_scene.hpp"

namespace tasker::store {
namespace {

int conversion() {
    for (const auto& migration : embedded_migrations()) {
        if (migration.name == "partition_running_tables") return migration.version;
    }
    ADD_FAILURE() << "there is no migration partition_running_tables";
    return 0;
}

class Conversion : public ::testing::Test {
  protected:
    void migrate_down() {
        const auto done = Migrator(scene.sql()).down(conversion() - 1);
        ASSERT_TRUE(done) << done.error().message;
        scene.reopen_store();
    }
    void migrate_up() {
        const auto done = Migrator(scene.sql()).up();
        ASSERT_TRUE(done) << done.error().message;
        scene.reopen_store();
    }
    std::map<std::string, std::string> everything() {
        std::map<std::string, std::string> rows;
        for (const auto& table : names_) rows[table] = scene.contents(table);
        return rows;
    }

    RetentionScene scene;
    std::vector<std::string> names_ = scene.tables();
};

TEST_F(Conversion, KeepsEveryRowAndGoesOnWithItsIds) {
    migrate_down();
    EXPECT_EQ(scene.one("SELECT relkind::text FROM pg_class WHERE oid = 'tasker_tasks'::regclass"), "r");
    const auto pair = scene.draw("pair", "a\nb <- a");
    scene.finished(20);
    const auto open = scene.submit(pair);
    scene.take_step("a");
    const auto before = everything();
    for (const auto& [table, rows] : before) {
        EXPECT_NE(rows, "") << table;
    }

    migrate_up();
    EXPECT_EQ(everything(), before);
    EXPECT_EQ(scene.found_by_checks(), "");
    EXPECT_EQ(scene.bounds("task_id"), "-1000001 1000001-");
    EXPECT_EQ(scene.bounds("batch_id"), "-1000001 1000001-");
    // What was out is reported, what comes gets the next ids.
    const auto next = scene.submit(pair);
    EXPECT_EQ(next, open + 1);
    EXPECT_EQ(scene.list("SELECT name FROM tasker_steps_without_results"), "a");
    scene.finished(3);
    EXPECT_EQ(scene.found_by_checks(), "");

    scene.close_ranges();
    scene.finished(4);
    const auto spread = everything();
    migrate_down();
    EXPECT_EQ(everything(), spread);
    EXPECT_GT(scene.submit(pair), 1'000'001);
    migrate_up();
    EXPECT_EQ(scene.found_by_checks(), "");
}

TEST_F(Conversion, KeepsTheViewsOfOtherPeople) {
    migrate_down();
    scene.execute("CREATE SCHEMA reports");
    scene.execute(
        "CREATE VIEW reports.tasks AS SELECT task_id, state FROM tasker_tasks WHERE state IN ('complete', "
        "'error')");
    scene.execute("CREATE VIEW reports.few AS SELECT count(*) FROM reports.tasks");
    migrate_up();
    scene.finished(1);
    scene.close_ranges();
    scene.finished(2);
    EXPECT_EQ(scene.one("SELECT count FROM reports.few"), "3");
    migrate_down();
    EXPECT_EQ(scene.one("SELECT count FROM reports.few"), "3");
    migrate_up();
}

TEST_F(Conversion, EveryPartitionHasItsOwnSettingsAndKeys) {
    scene.finished(1);
    scene.close_ranges();
    // Partitions of one table have the same storage parameters, and as many indexes as their parent.
    for (const auto& table : names_) {
        EXPECT_EQ(
            scene.number("SELECT count(DISTINCT (c.reloptions, (SELECT count(*) FROM pg_index x WHERE "
                         "x.indrelid = c.oid))) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
                         "WHERE i.inhparent = '" +
                         table + "'::regclass"),
            1)
            << table;
        EXPECT_GE(
            scene.number("SELECT count(*) FROM pg_inherits WHERE inhparent = '" + table + "'::regclass"), 3);
    }
    EXPECT_NE(scene.list("SELECT unnest(reloptions) FROM pg_class WHERE relname = 'tasker_tasks_p1000001'")
                  .find("fillfactor=70"),
              std::string::npos);
}

}  // namespace
}  // namespace tasker::store
