// The migrator on a real server: up, down, up; two at once; refusals.
#include "orchestrator/postgres/migrator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <vector>

#include "tests/support/postgres.hpp"

namespace tasker::postgres {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Schema three_migrations() {
    return {{
                {1, "create_fruit", "CREATE TABLE fruit (name text); CREATE INDEX ON fruit (name);",
                 "DROP TABLE fruit;"},
                {2, "add_weight", "ALTER TABLE fruit ADD weight int;", "ALTER TABLE fruit DROP weight;"},
                {3, "add_view", "CREATE VIEW heavy AS SELECT name FROM fruit WHERE weight > 9;",
                 "DROP VIEW heavy;"},
            },
            {}};
}

std::string shape_of(Connection& connection) {
    // Everything the schema consists of, as one text.
    return connection
        .query(
            "SELECT coalesce(string_agg(line, E'\\n' ORDER BY line), '') FROM ("
            "  SELECT format('column %s.%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, "
            "a.atttypmod), "
            "                a.attnotnull, pg_get_expr(d.adbin, d.adrelid)) AS line"
            "    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
            "    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum"
            "   WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'p') AND a.attnum "
            "> 0"
            "     AND NOT a.attisdropped AND c.relname !~ '^tasker_schema_'"
            "  UNION ALL SELECT 'index ' || indexdef FROM pg_indexes"
            "   WHERE schemaname = 'public' AND tablename !~ '^tasker_schema_'"
            "  UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || "
            "pg_get_constraintdef(oid)"
            "    FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
            "     AND conrelid::regclass::text !~ '^tasker_schema_'"
            "  UNION ALL SELECT 'function ' || pg_get_functiondef(oid) FROM pg_proc"
            "   WHERE pronamespace = 'public'::regnamespace AND prokind <> 'a'"
            "  UNION ALL SELECT 'view ' || viewname || ' ' || definition FROM pg_views WHERE schemaname = "
            "'public'"
            "  UNION ALL SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal"
            "  UNION ALL SELECT 'sequence ' || sequencename FROM pg_sequences WHERE schemaname = 'public'"
            "  UNION ALL SELECT 'type ' || typname FROM pg_type"
            "   WHERE typnamespace = 'public'::regnamespace AND typname !~ '^_?tasker_schema_'"
            ") AS lines")[0][0]
        .as<std::string>();
}

std::vector<MigrationState> states_of(Migrator& migrator) {
    std::vector<MigrationState> states;
    for (const auto& line : migrator.status()) states.push_back(line.state);
    return states;
}

class MigratorTest : public testing::Test {
  protected:
    test::TestDatabase database_{test::Schema::none};
    Connection connection_ = database_.connect();
};

TEST_F(MigratorTest, OwnMigrationsGoUpDownAndUpAgain) {
    Migrator migrator(connection_);
    EXPECT_EQ(check_schema(connection_).verdict, SchemaVerdict::missing);
    const auto up = migrator.up();
    ASSERT_TRUE(up) << up.error().message;
    const auto expected_lines = embedded_migrations().size() + (embedded_layer().files.empty() ? 0 : 1);
    EXPECT_EQ(up->size(), expected_lines);
    EXPECT_EQ(check_schema(connection_).verdict, SchemaVerdict::ok);
    const std::string shape = shape_of(connection_);
    EXPECT_THAT(shape, HasSubstr("tasker_workflow_steps"));

    const auto down = migrator.down(0);
    ASSERT_TRUE(down) << down.error().message;
    EXPECT_EQ(down->size(), expected_lines);
    EXPECT_EQ(shape_of(connection_), "");

    ASSERT_TRUE(migrator.up());
    EXPECT_EQ(shape_of(connection_), shape);
}

TEST_F(MigratorTest, EachOwnDownUndoesExactlyItsUp) {
    Migrator migrator(connection_);
    std::vector<std::string> shapes = {""};
    for (int version = 1; version <= required_version(); ++version) {
        ASSERT_TRUE(migrator.up(version));
        shapes.push_back(shape_of(connection_));
    }
    for (int version = required_version() - 1; version >= 0; --version) {
        const auto down = migrator.down(version);
        ASSERT_TRUE(down) << down.error().message;
        EXPECT_EQ(shape_of(connection_), shapes.at(static_cast<std::size_t>(version)))
            << "after down to " << version;
    }
}

TEST_F(MigratorTest, StopsAtTheVersionAskedFor) {
    Migrator migrator(connection_, three_migrations());
    EXPECT_THAT(migrator.up(2).value(), ElementsAre("001_create_fruit", "002_add_weight"));
    EXPECT_EQ(migrator.current_version(), 2);
    EXPECT_EQ(check_schema(connection_, three_migrations()).verdict, SchemaVerdict::older);
    EXPECT_THAT(migrator.up().value(), ElementsAre("003_add_view"));
    EXPECT_THAT(migrator.up().value(), ElementsAre());
    EXPECT_THAT(migrator.down(1).value(), ElementsAre("003_add_view", "002_add_weight"));
    EXPECT_EQ(migrator.current_version(), 1);
    EXPECT_FALSE(migrator.up(4));
    EXPECT_FALSE(migrator.up(0));
}

TEST_F(MigratorTest, FailedMigrationLeavesNothingBehind) {
    auto migrations = three_migrations();
    migrations.migrations[1].up = "ALTER TABLE fruit ADD weight int; INSERT INTO no_such_table VALUES (1);";
    Migrator migrator(connection_, migrations);
    const auto done = migrator.up();
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message, HasSubstr("002_add_weight"));
    EXPECT_THAT(done.error().message, HasSubstr("no_such_table"));
    EXPECT_EQ(migrator.current_version(), 1);
    EXPECT_EQ(
        connection_
            .query(
                "SELECT count(*) FROM pg_attribute WHERE attrelid = 'fruit'::regclass AND attnum > 0")[0][0]
            .as<int>(),
        1);
    // The lock is free again, and with the fault mended it goes on from there.
    EXPECT_THAT(Migrator(connection_, three_migrations()).up().value(),
                ElementsAre("002_add_weight", "003_add_view"));
}

TEST_F(MigratorTest, TwoAtOnceApplyEachMigrationOnce) {
    const auto migrate = [this] {
        Connection connection = database_.connect();
        return Migrator(connection).up();
    };
    std::vector<std::future<tl::expected<MigrationsDone, MigrationProblem>>> running;
    for (int count = 0; count < 4; ++count) running.push_back(std::async(std::launch::async, migrate));
    std::size_t applied = 0;
    for (auto& one : running) {
        const auto done = one.get();
        ASSERT_TRUE(done) << done.error().message;
        applied += done->size();
    }
    EXPECT_EQ(applied, embedded_migrations().size() + (embedded_layer().files.empty() ? 0 : 1));
    EXPECT_EQ(check_schema(connection_).verdict, SchemaVerdict::ok);
}

TEST_F(MigratorTest, ChangedMigrationIsRefused) {
    ASSERT_TRUE(Migrator(connection_, three_migrations()).up(2));
    auto edited = three_migrations();
    edited.migrations[0].up += " -- a later thought";
    Migrator migrator(connection_, edited);
    EXPECT_THAT(states_of(migrator),
                ElementsAre(MigrationState::changed, MigrationState::applied, MigrationState::pending));
    for (const auto& done : {migrator.up(), migrator.down(0)}) {
        ASSERT_FALSE(done);
        EXPECT_THAT(done.error().message, HasSubstr("001_create_fruit"));
    }
    EXPECT_EQ(migrator.current_version(), 2);
    EXPECT_EQ(check_schema(connection_, edited).verdict, SchemaVerdict::changed);
}

TEST_F(MigratorTest, NewerSchemaIsRefused) {
    ASSERT_TRUE(Migrator(connection_, three_migrations()).up());
    auto fewer = three_migrations();
    fewer.migrations.pop_back();
    Migrator migrator(connection_, fewer);
    EXPECT_THAT(states_of(migrator),
                ElementsAre(MigrationState::applied, MigrationState::applied, MigrationState::unknown));
    for (const auto& done : {migrator.up(), migrator.down(0)}) {
        ASSERT_FALSE(done);
        EXPECT_THAT(done.error().message, HasSubstr("schema version 3, this program knows only 2"));
    }
    const auto check = check_schema(connection_, fewer);
    EXPECT_EQ(check.verdict, SchemaVerdict::newer);
    EXPECT_EQ(check.database_version, 3);
    EXPECT_EQ(check.required_version, 2);
}

TEST_F(MigratorTest, ServicesAreToldWhichCommandHelps) {
    EXPECT_THAT(check_schema(connection_).message, HasSubstr("tasker migrate up"));
    ASSERT_TRUE(Migrator(connection_).up(1));
    const auto check = check_schema(connection_);
    EXPECT_EQ(check.verdict, SchemaVerdict::older);
    EXPECT_THAT(check.message, HasSubstr("tasker migrate up"));
}

TEST(EmbeddedMigrations, AreNumberedWithoutGaps) {
    int expected = 1;
    for (const auto& migration : embedded_migrations()) {
        EXPECT_EQ(migration.version, expected++);
        EXPECT_FALSE(migration.up.empty()) << migration.title();
        EXPECT_FALSE(migration.down.empty()) << migration.title();
    }
    EXPECT_GE(required_version(), 4);
}

TEST(EmbeddedLayer, HoldsOneObjectPerFileNamedAfterIt) {
    const test::TestDatabase database;
    Connection connection = database.connect();
    for (const auto& row : connection.execute("SELECT file, string_agg(name, ' ') FROM tasker_schema_objects "
                                              "WHERE kind NOT IN ('type', 'trigger')"
                                              " GROUP BY file")) {
        const std::string file = row[0].c_str();
        EXPECT_TRUE(file.ends_with("/" + row[1].as<std::string>() + ".sql"))
            << file << " makes " << row[1].c_str();
    }
    for (const auto& row :
         connection.execute("SELECT file, name FROM tasker_schema_objects WHERE kind = 'type'")) {
        EXPECT_TRUE(std::string(row[0].c_str()).ends_with("/types.sql"))
            << row[0].c_str() << " makes " << row[1].c_str();
    }
}

TEST(TestDatabase, MigratedOneIsReadyAndItsOwn) {
    const test::TestDatabase first;
    const test::TestDatabase second;
    Connection one = first.connect();
    Connection two = second.connect();
    EXPECT_EQ(check_schema(one).verdict, SchemaVerdict::ok);
    one.execute("DELETE FROM tasker_installation");
    EXPECT_EQ(two.query("SELECT count(*) FROM tasker_installation")[0][0].as<int>(), 1);
}

}  // namespace
}  // namespace tasker::postgres
