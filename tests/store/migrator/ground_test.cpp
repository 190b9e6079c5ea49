// What surroundings may say (a role, a database, a search path), and what a connection makes of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "orchestrator/postgres/migrator.hpp"
#include "tests/support/postgres.hpp"

namespace tasker::postgres {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

std::string text(Connection& connection, const std::string& sql) {
    const auto rows = connection.execute(sql);
    return rows.empty() || rows[0][0].is_null() ? "" : rows[0][0].as<std::string>();
}

class GroundTest : public testing::Test {
  protected:
    /// For every connection made from now on.
    void set_for_database(const std::string& setting) {
        admin_.execute("ALTER DATABASE " + name() + " SET " + setting);
    }
    std::string name() { return text(admin_, "SELECT quote_ident(current_database())"); }
    std::string url_in(const std::string& schemas) const {
        return database_.url() + " options='-csearch_path=" + schemas + "'";
    }

    test::TestDatabase database_{test::Schema::none};
    Connection admin_ = database_.connect();
};

struct Setting {
    const char* name;
    const char* hostile;
    const char* wanted;
};

const std::vector<Setting> kSettings = {
    {"client_encoding", "'LATIN1'", "UTF8"},
    {"standard_conforming_strings", "off", "on"},
    {"backslash_quote", "on", "safe_encoding"},
    {"quote_all_identifiers", "on", "off"},
    {"array_nulls", "off", "on"},
    {"transform_null_equals", "on", "off"},
    {"bytea_output", "'escape'", "hex"},
    {"DateStyle", "'SQL, DMY'", "ISO, MDY"},
    {"IntervalStyle", "'iso_8601'", "postgres"},
    {"TimeZone", "'Asia/Kolkata'", "UTC"},
    {"extra_float_digits", "-15", "1"},
    {"default_transaction_isolation", "'serializable'", "read committed"},
    {"default_transaction_deferrable", "on", "off"},
    {"check_function_bodies", "off", "on"},
    {"plpgsql.extra_errors", "'all'", "none"},
    {"statement_timeout", "'10s'", "0"},
    {"lock_timeout", "'10s'", "0"},
    {"idle_session_timeout", "'1h'", "0"},
};

TEST_F(GroundTest, NothingThatChangesAMeaningIsTakenFromTheDatabase) {
    for (const auto& setting : kSettings)
        set_for_database(std::string(setting.name) + " = " + setting.hostile);
    Connection connection = database_.connect();
    for (const auto& setting : kSettings)
        EXPECT_EQ(text(connection, std::string("SHOW ") + setting.name), setting.wanted) << setting.name;
    const auto done = Migrator(connection).up();
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(check_schema(connection).verdict, SchemaVerdict::ok);
}

TEST_F(GroundTest, EachSettingAloneLetsTheSchemaBeMade) {
    for (const auto& setting : kSettings) {
        const test::TestDatabase database(test::Schema::none);
        {
            Connection admin = database.connect();
            admin.execute("ALTER DATABASE " + text(admin, "SELECT quote_ident(current_database())") +
                          " SET " + setting.name + " = " + setting.hostile);
        }
        Connection connection = database.connect();
        const auto done = Migrator(connection).up();
        EXPECT_TRUE(done) << setting.name << ": " << done.error().message;
    }
}

TEST_F(GroundTest, ATimeLimitInTheUrlHolds) {
    set_for_database("statement_timeout = '10s'");
    Connection limited(database_.url() + " options='-cstatement_timeout=1234'",
                       {.statement_timeout = milliseconds(20)});
    EXPECT_EQ(text(limited, "SHOW statement_timeout"), "1234ms");
}

TEST_F(GroundTest, OtherEncodingsAreRefused) {
    for (const std::string encoding : {"LATIN1", "SQL_ASCII"}) {
        const std::string other = name() + "_" + (encoding == "LATIN1" ? "latin" : "ascii");
        admin_.execute("CREATE DATABASE " + other + " ENCODING '" + encoding +
                       "' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
        {
            Connection connection(with_database(database_.url(), other));
            const auto done = Migrator(connection).up();
            ASSERT_FALSE(done) << encoding;
            EXPECT_THAT(done.error().message, AllOf(HasSubstr(encoding), HasSubstr("UTF8")));
            const auto check = check_schema(connection);
            EXPECT_EQ(check.verdict, SchemaVerdict::unfit);
            EXPECT_THAT(check.message, AllOf(HasSubstr(encoding), HasSubstr("UTF8")));
            EXPECT_EQ(text(connection, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
        }
        admin_.execute("DROP DATABASE " + other + " WITH (FORCE)");
    }
}

TEST_F(GroundTest, AReadOnlyDatabaseIsNamedWithItsSetting) {
    set_for_database("default_transaction_read_only = on");
    Connection connection = database_.connect();
    EXPECT_THAT(connection.ground().read_only,
                AllOf(HasSubstr("default_transaction_read_only"), HasSubstr("database")));
    const auto done = Migrator(connection).up();
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message, HasSubstr("default_transaction_read_only"));
    EXPECT_THAT(admin_.ground().read_only, IsEmpty());
}

TEST_F(GroundTest, UncheckedForeignKeysAreRefused) {
    set_for_database("session_replication_role = 'replica'");
    Connection connection = database_.connect();
    const auto done = Migrator(connection).up();
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message, HasSubstr("session_replication_role"));
}

TEST_F(GroundTest, CommitsThatDoNotWaitAreARisk) {
    EXPECT_THAT(admin_.ground().risk, IsEmpty());
    set_for_database("synchronous_commit = off");
    EXPECT_THAT(database_.connect().ground().risk, HasSubstr("synchronous_commit"));
}

TEST_F(GroundTest, ASearchPathThatLeadsNowhereIsRefused) {
    Connection connection(url_in("nowhere"));
    const auto done = Migrator(connection).up();
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message, AllOf(HasSubstr("search_path"), HasSubstr("nowhere")));
    EXPECT_EQ(check_schema(connection).verdict, SchemaVerdict::unfit);
}

TEST_F(GroundTest, ASchemaMadeLaterDoesNotHideTheInstallation) {
    ASSERT_TRUE(Migrator(admin_).up());
    Connection before(url_in("later,public"));
    admin_.execute("CREATE SCHEMA later");
    Connection after(url_in("later,public"));
    for (auto* connection : {&before, &after}) {
        EXPECT_EQ(text(*connection, "SELECT current_schema()"), "public");
        EXPECT_EQ(check_schema(*connection).verdict, SchemaVerdict::ok);
        const auto done = Migrator(*connection).up();
        ASSERT_TRUE(done) << done.error().message;
        EXPECT_THAT(*done, IsEmpty());
    }
    EXPECT_EQ(text(admin_, "SELECT count(*) FROM pg_class WHERE relnamespace = 'later'::regnamespace"), "0");
}

TEST_F(GroundTest, SchemasHoldInstallationsOfTheirOwn) {
    admin_.execute("CREATE SCHEMA red; CREATE SCHEMA \"Blue One\"");
    Connection red(url_in("red"));
    Connection blue(url_in("\"Blue\\\\ One\""));
    // The migrator's lock of one schema keeps nobody out of another.
    red.execute("SET lock_timeout = '10s'");
    for (auto* connection : {&red, &blue}) {
        const auto done = Migrator(*connection).up();
        ASSERT_TRUE(done) << done.error().message;
        EXPECT_EQ(check_schema(*connection).verdict, SchemaVerdict::ok);
    }
    EXPECT_EQ(text(blue, "SELECT current_schema()"), "Blue One");
    ASSERT_TRUE(Migrator(blue).down(0));
    EXPECT_EQ(check_schema(red).verdict, SchemaVerdict::ok);
}

struct Meaning {
    const char* sqlstate;
    DbFailure failure;
};

TEST(Classify, HasOneMeaningForEachSqlstate) {
    for (const auto& [sqlstate, failure] : std::vector<Meaning>{{"57P01", DbFailure::shutting_down},
                                                                {"57P03", DbFailure::shutting_down},
                                                                {"40001", DbFailure::retryable},
                                                                {"40P01", DbFailure::retryable},
                                                                {"40003", DbFailure::other},
                                                                {"55P03", DbFailure::locked},
                                                                {"25006", DbFailure::read_only},
                                                                {"42501", DbFailure::forbidden},
                                                                {"53100", DbFailure::exhausted},
                                                                {"53200", DbFailure::exhausted},
                                                                {"22003", DbFailure::data},
                                                                {"23505", DbFailure::data},
                                                                {"54000", DbFailure::data},
                                                                {"", DbFailure::data},
                                                                {"42P01", DbFailure::other},
                                                                {"57014", DbFailure::other},
                                                                {"58030", DbFailure::other},
                                                                {"XX000", DbFailure::other}}) {
        EXPECT_EQ(classify(sqlstate), failure) << sqlstate;
    }
}

}  // namespace
}  // namespace tasker::postgres
