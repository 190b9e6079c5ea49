// The layer of functions and views on a real server, with files made up for the purpose.
#include "orchestrator/postgres/layer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <string>
#include <vector>

#include "orchestrator/postgres/migrator.hpp"
#include "tests/support/postgres.hpp"

namespace tasker::postgres {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Schema fruit_schema() {
    return {
        {{1, "create_fruit", "CREATE TABLE fruit (name text, weight int)", "DROP TABLE fruit"}},
        {{{"shop/types.sql",
           "CREATE TYPE price AS (amount int, currency text);\nCREATE TYPE size AS ENUM ('small', 'large');"},
          {"shop/price_of.sql",
           "-- Calls what a later file makes.\n"
           "CREATE OR REPLACE FUNCTION price_of(p_weight int) RETURNS price LANGUAGE sql\n"
           "AS $$ SELECT row(weight_factor() * p_weight, 'EUR')::price $$;"},
          {"shop/weight_factor.sql",
           "CREATE OR REPLACE FUNCTION weight_factor() RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT 3 "
           "$$;"},
          {"shop/add_fruit.sql",
           "CREATE OR REPLACE PROCEDURE add_fruit(p_name text) LANGUAGE sql\n"
           "AS $$ INSERT INTO fruit VALUES (p_name, 1) $$;"},
          {"shop/total.sql", "CREATE OR REPLACE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int);"},
          {"shop/cheap.sql",
           "-- after: priced\n"
           "CREATE OR REPLACE VIEW cheap AS SELECT name, price FROM priced WHERE (price).amount < 10;"},
          {"shop/priced.sql",
           "CREATE OR REPLACE VIEW priced AS SELECT name, price_of(weight) AS price FROM fruit;"}}}};
}

LayerFile& file(Schema& schema, const std::string& path) {
    return *std::find_if(schema.layer.files.begin(), schema.layer.files.end(),
                         [&](const LayerFile& candidate) { return candidate.path == path; });
}

void remove(Schema& schema, const std::string& path) {
    std::erase_if(schema.layer.files, [&](const LayerFile& candidate) { return candidate.path == path; });
}

class LayerTest : public testing::Test {
  protected:
    void SetUp() override {
        ASSERT_THAT(up(fruit_schema()), ElementsAre("001_create_fruit", "functions (8 objects)"));
    }

    MigrationsDone up(const Schema& schema) {
        const auto done = Migrator(connection_, schema).up();
        EXPECT_TRUE(done) << done.error().message;
        return done.value_or(MigrationsDone{});
    }
    MigrationProblem refused(const Schema& schema) {
        const auto done = Migrator(connection_, schema).up();
        EXPECT_FALSE(done);
        return done ? MigrationProblem{} : done.error();
    }
    std::string text(const std::string& sql) {
        const auto rows = connection_.execute(sql);
        return rows.empty() || rows[0][0].is_null() ? "" : rows[0][0].as<std::string>();
    }
    /// Routines, views and types of the schema, without the migrator's own and those that tables bring along.
    std::string objects() {
        return text(
            "SELECT string_agg(line, ' ' ORDER BY line COLLATE \"C\") FROM ("
            " SELECT format('%s(%s)', proname, pg_get_function_identity_arguments(oid)) FROM pg_proc"
            "  WHERE pronamespace = 'public'::regnamespace"
            " UNION ALL SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND "
            "relkind = 'v'"
            " UNION ALL SELECT t.typname::text FROM pg_type t WHERE typnamespace = 'public'::regnamespace"
            "  AND typelem = 0 AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind "
            "<> 'c')"
            ") AS o (line)");
    }
    int records() { return std::stoi(text("SELECT count(*) FROM tasker_schema_objects")); }
    /// A role of this test's own, as long as the test.
    std::string clerk() {
        const std::string name = "clerk_" + std::to_string(connection_.backend_pid());
        if (text("SELECT 1 FROM pg_roles WHERE rolname = '" + name + "'").empty())
            connection_.execute("CREATE ROLE " + name);
        clerk_ = name;
        return name;
    }
    bool clerk_may(const std::string& function) {
        return text("SELECT has_function_privilege('" + clerk() + "', '" + function + "', 'EXECUTE')") == "t";
    }
    void TearDown() override {
        if (!clerk_.empty()) connection_.execute("DROP OWNED BY " + clerk_ + "; DROP ROLE " + clerk_);
    }

    static constexpr const char* kAll =
        "add_fruit(IN p_name text) cheap price price_of(p_weight integer) priced size total(integer) "
        "weight_factor()";

    test::TestDatabase database_{test::Schema::none};
    Connection connection_ = database_.connect();
    std::string clerk_;
};

TEST_F(LayerTest, GoesUpDownAndUpAgain) {
    EXPECT_EQ(objects(), kAll);
    EXPECT_EQ(check_schema(connection_, fruit_schema()).verdict, SchemaVerdict::ok);
    EXPECT_THAT(up(fruit_schema()), IsEmpty());
    const auto down = Migrator(connection_, fruit_schema()).down(0);
    ASSERT_TRUE(down) << down.error().message;
    EXPECT_THAT(*down, ElementsAre("functions (8 objects)", "001_create_fruit"));
    EXPECT_EQ(objects(), "");
    EXPECT_EQ(records(), 0);
    EXPECT_THAT(up(fruit_schema()), ElementsAre("001_create_fruit", "functions (8 objects)"));
    EXPECT_EQ(objects(), kAll);
}

TEST_F(LayerTest, EveryObjectIsRecordedWithItsFile) {
    EXPECT_EQ(text("SELECT string_agg(format('%s %s %s', kind, name, file), ', ' ORDER BY position)"
                   " FROM tasker_schema_objects"),
              "type price shop/types.sql, type size shop/types.sql, procedure add_fruit shop/add_fruit.sql, "
              "function price_of shop/price_of.sql, aggregate total shop/total.sql, "
              "function weight_factor shop/weight_factor.sql, view priced shop/priced.sql, view cheap "
              "shop/cheap.sql");
}

TEST_F(LayerTest, EditedFileIsAppliedAndTheOthersStay) {
    const auto oid = text("SELECT 'price_of'::regproc::oid");
    Schema edited = fruit_schema();
    file(edited, "shop/weight_factor.sql").text =
        "CREATE OR REPLACE FUNCTION weight_factor() RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT 4 $$;";
    const auto check = check_schema(connection_, edited);
    EXPECT_EQ(check.verdict, SchemaVerdict::other_functions);
    EXPECT_THAT(check.message, HasSubstr("1 of 7 files differ"));
    EXPECT_THAT(check.message, HasSubstr("tasker migrate up"));
    EXPECT_THAT(up(edited), ElementsAre("functions (8 objects)"));
    EXPECT_EQ(text("SELECT price_of(2)"), "(8,EUR)");
    EXPECT_EQ(text("SELECT 'price_of'::regproc::oid"), oid);
    EXPECT_EQ(check_schema(connection_, edited).verdict, SchemaVerdict::ok);
    EXPECT_EQ(check_schema(connection_, fruit_schema()).verdict, SchemaVerdict::other_functions);
}

TEST_F(LayerTest, ThatOfANewerProgramIsLeftAlone) {
    Schema newer = fruit_schema();
    newer.layer.version = "1.10.0";
    file(newer, "shop/weight_factor.sql").text =
        "CREATE OR REPLACE FUNCTION weight_factor() RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT 4 $$;";
    up(newer);
    Schema older = fruit_schema();
    older.layer.version = "1.9.3";
    const auto problem = refused(older);
    EXPECT_THAT(problem.message, HasSubstr("tasker 1.10.0"));
    EXPECT_THAT(problem.message, HasSubstr("1.9.3"));
    EXPECT_EQ(text("SELECT weight_factor()"), "4");
    EXPECT_FALSE(Migrator(connection_, older).down(0));
    const auto check = check_schema(connection_, older);
    EXPECT_EQ(check.verdict, SchemaVerdict::newer);
    EXPECT_THAT(check.message, HasSubstr("tasker 1.10.0"));
    // The same files are the same layer, whoever brought them; and a newer program goes on.
    Schema same = newer;
    same.layer.version = "1.9.3";
    EXPECT_EQ(check_schema(connection_, same).verdict, SchemaVerdict::ok);
    older.layer.version = "1.10.1";
    up(older);
    EXPECT_EQ(text("SELECT weight_factor()"), "3");
}

TEST_F(LayerTest, RemovedFileIsDropped) {
    Schema fewer = fruit_schema();
    remove(fewer, "shop/cheap.sql");
    remove(fewer, "shop/add_fruit.sql");
    EXPECT_EQ(Migrator(connection_, fewer).layer_status().files_differ, 2);
    EXPECT_THAT(up(fewer), ElementsAre("functions (6 objects)"));
    EXPECT_EQ(objects(), "price price_of(p_weight integer) priced size total(integer) weight_factor()");
    EXPECT_EQ(records(), 6);
}

TEST_F(LayerTest, WholeLayerRemovedIsDropped) {
    Schema none = fruit_schema();
    none.layer.files.clear();
    EXPECT_THAT(up(none), ElementsAre("functions (0 objects)"));
    EXPECT_EQ(objects(), "");
    EXPECT_THAT(up(none), IsEmpty());
}

TEST_F(LayerTest, ChangedSignatureLeavesNoOverloadBehind) {
    Schema edited = fruit_schema();
    file(edited, "shop/weight_factor.sql").text =
        "CREATE OR REPLACE FUNCTION weight_factor(p_year int DEFAULT 1) RETURNS int LANGUAGE sql IMMUTABLE "
        "AS $$ SELECT 5 $$;";
    up(edited);
    EXPECT_THAT(objects(), HasSubstr("weight_factor(p_year integer)"));
    EXPECT_EQ(text("SELECT count(*) FROM pg_proc WHERE proname = 'weight_factor'"), "1");
    EXPECT_EQ(text("SELECT price_of(2)"), "(10,EUR)");
    // Back again: a parameter less, and no default any more.
    up(fruit_schema());
    EXPECT_EQ(objects(), kAll);
}

TEST_F(LayerTest, RenamedParameterIsApplied) {
    Schema edited = fruit_schema();
    auto& text_of = file(edited, "shop/price_of.sql").text;
    for (auto at = text_of.find("p_weight"); at != std::string::npos; at = text_of.find("p_weight"))
        text_of.replace(at, 8, "p_gram");
    up(edited);
    EXPECT_THAT(objects(), HasSubstr(" price_of(p_gram integer) priced"));
    EXPECT_THAT(objects(), HasSubstr("cheap"));
}

TEST_F(LayerTest, ChangedResultTypeTakesDependentsAlong) {
    Schema edited = fruit_schema();
    file(edited, "shop/price_of.sql").text =
        "CREATE OR REPLACE FUNCTION price_of(p_weight int) RETURNS int LANGUAGE sql AS $$ SELECT p_weight "
        "$$;";
    file(edited, "shop/cheap.sql").text =
        "-- after: priced\nCREATE OR REPLACE VIEW cheap AS SELECT name, price FROM priced WHERE price < 10;";
    up(edited);
    EXPECT_EQ(objects(), kAll);
    EXPECT_EQ(text("SELECT pg_typeof(price_of(2))"), "integer");
    EXPECT_EQ(text("SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 'cheap'::regclass"
                   " AND attname = 'price'"),
              "integer");
}

TEST_F(LayerTest, ViewsColumnsMayChangeInAnyWay) {
    connection_.execute("GRANT SELECT ON priced TO " + clerk());
    const auto oid = text("SELECT 'priced'::regclass::oid");
    Schema edited = fruit_schema();
    file(edited, "shop/priced.sql").text =
        "CREATE OR REPLACE VIEW priced AS SELECT name, price_of(weight) AS price, weight FROM fruit;";
    up(edited);
    EXPECT_EQ(text("SELECT 'priced'::regclass::oid"), oid) << "one more column at the end needs no new view";
    file(edited, "shop/priced.sql").text =
        "CREATE OR REPLACE VIEW priced AS SELECT price_of(weight) AS price, name FROM fruit;";
    up(edited);
    EXPECT_EQ(text("SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute"
                   " WHERE attrelid = 'priced'::regclass AND attnum > 0"),
              "price name");
    EXPECT_EQ(objects(), kAll);
    EXPECT_EQ(text("SELECT has_table_privilege('" + clerk() + "', 'priced', 'SELECT')"), "t");
}

TEST_F(LayerTest, ChangedTypesAreMadeAnewWithWhatUsesThem) {
    const auto factor = text("SELECT 'weight_factor'::regproc::oid");
    Schema edited = fruit_schema();
    file(edited, "shop/types.sql").text =
        "CREATE TYPE price AS (amount int, currency text, discount int);\nCREATE TYPE size AS ENUM ('s', "
        "'m', 'l');";
    file(edited, "shop/price_of.sql").text =
        "CREATE OR REPLACE FUNCTION price_of(p_weight int) RETURNS price LANGUAGE sql\n"
        "AS $$ SELECT row(p_weight, 'EUR', 1)::price $$;";
    up(edited);
    EXPECT_EQ(objects(), kAll);
    EXPECT_EQ(text("SELECT price_of(2)"), "(2,EUR,1)");
    EXPECT_EQ(text("SELECT enum_range(NULL::size)"), "{s,m,l}");
    EXPECT_EQ(text("SELECT 'weight_factor'::regproc::oid"), factor);
    EXPECT_EQ(text("SELECT count(*) FROM cheap"), "0");
}

TEST_F(LayerTest, TypeMayMoveToAnotherFile) {
    Schema edited = fruit_schema();
    file(edited, "shop/types.sql").text = "CREATE TYPE price AS (amount int, currency text);";
    edited.layer.files.push_back({"store/types.sql", "CREATE TYPE size AS ENUM ('small', 'large');"});
    up(edited);
    EXPECT_EQ(objects(), kAll);
    EXPECT_EQ(text("SELECT file FROM tasker_schema_objects WHERE name = 'size'"), "store/types.sql");
    remove(edited, "store/types.sql");
    up(edited);
    EXPECT_EQ(text("SELECT to_regtype('size')"), "");
}

TEST_F(LayerTest, TypeMayBePartOfAnother) {
    Schema edited = fruit_schema();
    file(edited, "shop/types.sql").text +=
        "\nCREATE TYPE zone AS (name text);\nCREATE TYPE area AS (zones zone[], entry price);";
    up(edited);
    file(edited, "shop/types.sql").text += "\nCREATE TYPE another AS (areas area[]);";
    up(edited);
    EXPECT_EQ(text("SELECT NULL::another IS NULL"), "t");
    const auto down = Migrator(connection_, edited).down(0);
    ASSERT_TRUE(down) << down.error().message;
    EXPECT_EQ(objects(), "");
}

TEST_F(LayerTest, ViewMayTakeTheNameOfAType) {
    Schema edited = fruit_schema();
    file(edited, "shop/types.sql").text = "CREATE TYPE price AS (amount int, currency text);";
    edited.layer.files.push_back({"shop/size.sql", "CREATE OR REPLACE VIEW size AS SELECT 1 AS n;"});
    up(edited);
    EXPECT_EQ(text("SELECT n FROM size"), "1");
}

TEST_F(LayerTest, GrantsSurvive) {
    connection_.execute(
        "REVOKE ALL ON FUNCTION weight_factor(), price_of(int) FROM PUBLIC; GRANT EXECUTE ON FUNCTION "
        "price_of(int) TO " +
        clerk());
    Schema edited = fruit_schema();
    file(edited, "shop/weight_factor.sql").text += " -- edited";
    up(edited);
    EXPECT_TRUE(clerk_may("price_of(int)"));
    EXPECT_FALSE(clerk_may("weight_factor()"));
    // Made anew, because a result type cannot be replaced: nobody gains or loses a right by that.
    file(edited, "shop/weight_factor.sql").text =
        "CREATE OR REPLACE FUNCTION weight_factor() RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT "
        "3::bigint $$;";
    file(edited, "shop/types.sql").text =
        "CREATE TYPE price AS (amount bigint, currency text);\nCREATE TYPE size AS ENUM ('small', 'large');";
    up(edited);
    EXPECT_TRUE(clerk_may("price_of(int)"));
    EXPECT_FALSE(clerk_may("weight_factor()"));
    EXPECT_TRUE(clerk_may("total(int)"));
}

TEST_F(LayerTest, GrantsOnColumnsSurviveWhereTheColumnsDo) {
    connection_.execute("GRANT SELECT (name, price) ON priced TO " + clerk());
    Schema edited = fruit_schema();
    remove(edited, "shop/cheap.sql");
    file(edited, "shop/priced.sql").text = "CREATE OR REPLACE VIEW priced AS SELECT weight, name FROM fruit;";
    up(edited);
    const auto may_read = [this](const std::string& column) {
        return text("SELECT has_column_privilege('" + clerk() + "', 'priced', '" + column + "', 'SELECT')");
    };
    EXPECT_EQ(may_read("name"), "t");
    EXPECT_EQ(may_read("weight"), "f");
    EXPECT_EQ(text("SELECT has_table_privilege('" + clerk() + "', 'priced', 'SELECT')"), "f");
}

TEST_F(LayerTest, FailingFileChangesNothing) {
    Schema edited = fruit_schema();
    file(edited, "shop/weight_factor.sql").text =
        "CREATE OR REPLACE FUNCTION weight_factor(p_year int) RETURNS bigint LANGUAGE sql AS $$ SELECT "
        "9::bigint $$;";
    file(edited, "shop/priced.sql").text =
        "CREATE OR REPLACE VIEW priced AS SELECT no_such_column FROM fruit;";
    const auto before = text("SELECT checksum FROM tasker_schema_layer");
    const auto problem = refused(edited);
    EXPECT_THAT(problem.message, HasSubstr("functions/shop/priced.sql"));
    EXPECT_THAT(problem.message, HasSubstr("no_such_column"));
    EXPECT_EQ(objects(), kAll);
    EXPECT_EQ(text("SELECT checksum FROM tasker_schema_layer"), before);
    EXPECT_EQ(text("SELECT price_of(2)"), "(6,EUR)");
    EXPECT_EQ(check_schema(connection_, fruit_schema()).verdict, SchemaVerdict::ok);
    EXPECT_THAT(up(fruit_schema()), IsEmpty()) << "the lock is free again";
}

TEST_F(LayerTest, FailingFileOfAFreshDatabaseLeavesTheTables) {
    const test::TestDatabase fresh{test::Schema::none};
    Connection connection = fresh.connect();
    Schema broken = fruit_schema();
    file(broken, "shop/priced.sql").text =
        "CREATE OR REPLACE VIEW priced AS SELECT no_such_column FROM fruit;";
    ASSERT_FALSE(Migrator(connection, broken).up());
    EXPECT_EQ(Migrator(connection, broken).current_version(), 1);
    EXPECT_EQ(connection.execute("SELECT count(*) FROM tasker_schema_objects")[0][0].as<int>(), 0);
    EXPECT_EQ(Migrator(connection, broken).layer_status().state, LayerState::pending);
    EXPECT_THAT(Migrator(connection, fruit_schema()).up().value(), ElementsAre("functions (8 objects)"));
}

TEST_F(LayerTest, WhatIsNotTaskersIsNeverDropped) {
    connection_.execute("CREATE VIEW mine AS SELECT name FROM cheap");
    Schema edited = fruit_schema();
    remove(edited, "shop/cheap.sql");
    const auto problem = refused(edited);
    EXPECT_THAT(problem.message, HasSubstr("mine"));
    EXPECT_THAT(problem.advice, HasSubstr("not part of Tasker"));
    EXPECT_EQ(text("SELECT count(*) FROM mine"), "0");
    EXPECT_FALSE(Migrator(connection_, fruit_schema()).down(0));
    connection_.execute("DROP VIEW mine");
    up(edited);
}

TEST_F(LayerTest, WhatDependsOnlyOnReplacedObjectsMayStay) {
    connection_.execute("CREATE VIEW mine AS SELECT name FROM cheap");
    Schema edited = fruit_schema();
    file(edited, "shop/cheap.sql").text =
        "-- after: priced\nCREATE OR REPLACE VIEW cheap AS SELECT name, price FROM priced WHERE "
        "(price).amount < 5;";
    up(edited);
    EXPECT_EQ(text("SELECT count(*) FROM mine"), "0");
}

TEST_F(LayerTest, ObjectsDroppedByHandAreFoundAndComeBack) {
    connection_.execute("DROP VIEW cheap; DROP FUNCTION weight_factor()");
    const auto status = Migrator(connection_, fruit_schema()).layer_status();
    EXPECT_EQ(status.state, LayerState::changed);
    EXPECT_EQ(status.objects_differ, 2);
    EXPECT_EQ(check_schema(connection_, fruit_schema()).verdict, SchemaVerdict::other_functions);
    EXPECT_THAT(up(fruit_schema()), ElementsAre("functions (8 objects)"));
    EXPECT_EQ(objects(), kAll);
    EXPECT_EQ(check_schema(connection_, fruit_schema()).verdict, SchemaVerdict::ok);
}

TEST_F(LayerTest, FunctionAlteredByHandIsFoundAndPutBack) {
    const std::string body = "SELECT prosrc FROM pg_proc WHERE proname = 'weight_factor'";
    const auto before = text(body);
    connection_.execute(
        "DO $$ BEGIN EXECUTE replace(pg_get_functiondef('weight_factor()'::regprocedure), 'SELECT', 'SELECT 0 *'); "
        "END $$");
    ASSERT_NE(text(body), before);
    EXPECT_EQ(Migrator(connection_, fruit_schema()).layer_status().objects_differ, 1);
    EXPECT_THAT(up(fruit_schema()), ElementsAre("functions (8 objects)"));
    EXPECT_EQ(text(body), before);
}

TEST_F(LayerTest, LockedViewIsNamedAndNobodyWaitsForLong) {
    Connection console = database_.connect();
    auto reading = console.begin();
    reading.execute("SELECT * FROM cheap");
    Schema edited = fruit_schema();
    file(edited, "shop/total.sql").text += " -- edited";
    const auto problem = refused(edited);
    EXPECT_THAT(problem.message, testing::HasSubstr("lock"));
    EXPECT_THAT(problem.advice, testing::HasSubstr("pg_locks"));
    EXPECT_EQ(objects(), kAll);
}

TEST_F(LayerTest, DownThatFailsKeepsTheFunctions) {
    connection_.execute("CREATE VIEW mine AS SELECT * FROM fruit");
    const auto down = Migrator(connection_, fruit_schema()).down(0);
    ASSERT_FALSE(down);
    EXPECT_EQ(check_schema(connection_, fruit_schema()).verdict, SchemaVerdict::ok);
    connection_.execute("DROP VIEW mine");
    EXPECT_EQ(objects(), kAll);
}

TEST_F(LayerTest, TriggerBelongsToTheFileOfItsFunction) {
    Schema edited = fruit_schema();
    edited.layer.files.push_back({"shop/refuse.sql",
                                  "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
                                  "$$ BEGIN RETURN NULL; END $$;\n"
                                  "CREATE OR REPLACE TRIGGER refuse_fruit BEFORE INSERT ON fruit FOR EACH "
                                  "ROW EXECUTE FUNCTION refuse();"});
    EXPECT_THAT(up(edited), ElementsAre("functions (10 objects)"));
    file(edited, "shop/refuse.sql").text += " -- edited";
    up(edited);
    connection_.execute("CALL add_fruit('pear')");
    EXPECT_EQ(text("SELECT count(*) FROM fruit"), "0");
    up(fruit_schema());
    connection_.execute("CALL add_fruit('pear')");
    EXPECT_EQ(text("SELECT count(*) FROM fruit"), "1");
    EXPECT_EQ(objects(), kAll);
}

TEST_F(LayerTest, FileThatMakesNothingOfItsOwnIsRefused) {
    Schema edited = fruit_schema();
    edited.layer.files.push_back({"shop/zucchini.sql", file(edited, "shop/weight_factor.sql").text});
    EXPECT_THAT(refused(edited).message, HasSubstr("functions/shop/zucchini.sql"));
    edited = fruit_schema();
    edited.layer.files.push_back({"shop/nothing.sql", "SELECT 1;"});
    EXPECT_THAT(refused(edited).message, HasSubstr("functions/shop/nothing.sql"));
    EXPECT_EQ(objects(), kAll);
}

TEST_F(LayerTest, TwoMigratorsAtOnceApplyItOnce) {
    Schema edited = fruit_schema();
    file(edited, "shop/weight_factor.sql").text += " -- edited";
    const auto migrate = [&] {
        Connection connection = database_.connect();
        return Migrator(connection, edited).up();
    };
    std::vector<std::future<tl::expected<MigrationsDone, MigrationProblem>>> running;
    for (int count = 0; count < 4; ++count) running.push_back(std::async(std::launch::async, migrate));
    std::size_t applied = 0;
    for (auto& one : running) {
        const auto done = one.get();
        ASSERT_TRUE(done) << done.error().message;
        applied += done->size();
    }
    EXPECT_EQ(applied, 1U);
}

TEST_F(LayerTest, ComesOnlyBehindTheLastMigration) {
    Schema longer = fruit_schema();
    longer.migrations.push_back(
        {2, "add_colour", "ALTER TABLE fruit ADD colour text", "ALTER TABLE fruit DROP colour"});
    file(longer, "shop/priced.sql").text =
        "CREATE OR REPLACE VIEW priced AS SELECT name, price_of(weight) AS price, colour FROM fruit;";
    EXPECT_THAT(up(longer), ElementsAre("002_add_colour", "functions (8 objects)"));
    const auto down = Migrator(connection_, longer).down(1);
    ASSERT_TRUE(down) << down.error().message;
    EXPECT_THAT(*down, ElementsAre("functions (8 objects)", "002_add_colour"));
    EXPECT_THAT(Migrator(connection_, longer).down(1).value(), IsEmpty());
    EXPECT_THAT(Migrator(connection_, longer).up(1).value(), IsEmpty());
    EXPECT_EQ(objects(), "");
    EXPECT_EQ(check_schema(connection_, longer).verdict, SchemaVerdict::older);
}

std::string order_of(const std::vector<LayerFile>& files) {
    const auto sorted = Layer{files}.in_order();
    if (!sorted) return sorted.error();
    std::string paths;
    for (const auto& one : *sorted) paths += (paths.empty() ? "" : " ") + one.path;
    return paths;
}

TEST(LayerOrder, TypesThenFunctionsThenViewsAndAfterGoesBeforeThat) {
    const std::string function = "CREATE OR REPLACE FUNCTION f() …", view = "CREATE OR REPLACE VIEW v AS …";
    EXPECT_EQ(order_of({{"b/v.sql", view},
                        {"b/types.sql", "CREATE TYPE t …"},
                        {"b/f.sql", function},
                        {"a/types.sql", "CREATE TYPE t …"},
                        {"a/z.sql", function}}),
              "a/types.sql b/types.sql a/z.sql b/f.sql b/v.sql");
    EXPECT_EQ(order_of({{"a/f.sql", "-- Reads v.\n-- after: v, g\n" + function},
                        {"b/g.sql", function},
                        {"c/v.sql", view}}),
              "c/v.sql b/g.sql a/f.sql");
    EXPECT_THAT(order_of({{"a/f.sql", "-- after: f\n" + function}}), HasSubstr("a/f.sql waits for itself"));
    EXPECT_THAT(order_of({{"a/f.sql", "-- after: gone\n" + function}}), HasSubstr("waits for gone"));
    EXPECT_THAT(order_of({{"a/f.sql", "-- nothing\n"}}), HasSubstr("a/f.sql has no line"));
}

TEST(LayerChecksum, ChangesWithNamesAndTextsAndNotWithTheOrderOfTheList) {
    const LayerFile one{"a/f.sql", "1"}, two{"a/g.sql", "2"};
    EXPECT_EQ((Layer{{one, two}}.checksum()), (Layer{{two, one}}.checksum()));
    EXPECT_NE((Layer{{one, two}}.checksum()), (Layer{{one, {"a/g.sql", "3"}}}.checksum()));
    EXPECT_NE((Layer{{one, two}}.checksum()), (Layer{{one, {"a/h.sql", "2"}}}.checksum()));
}

}  // namespace
}  // namespace tasker::postgres
