// Two installations in two schemas of one database: each has its lock, its channels and its lanes.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "orchestrator/postgres/migrator.hpp"
#include "orchestrator/store/housekeeping_store.hpp"
#include "orchestrator/store/port_errors.hpp"
#include "orchestrator/store/turn_store.hpp"
#include "tests/support/postgres.hpp"

namespace tasker::store {
namespace {

class TwoSchemas : public testing::Test {
  protected:
    void SetUp() override {
        for (const auto& name : {"red", "blue"}) {
            database_.connect().execute("CREATE SCHEMA " + std::string(name));
            postgres::Connection connection(url(name));
            const auto done = postgres::Migrator(connection).up();
            ASSERT_TRUE(done) << done.error().message;
        }
    }
    std::string url(const std::string& schema) const {
        return database_.url() + " options='-csearch_path=" + schema + "'";
    }
    void wake(const std::string& schema, const std::string& payload) const {
        postgres::Connection connection(url(schema));
        connection.query("SELECT pg_notify(tasker_channel('tasker_wake'), $1::text)", payload);
    }

    test::TestDatabase database_{test::Schema::none};
};

TEST_F(TwoSchemas, EachHasItsOwnInstanceLock) {
    TurnStore red(url("red"), {.id = "red", .host = "host"});
    TurnStore blue(url("blue"), {.id = "blue", .host = "host"});
    EXPECT_TRUE(red.take_instance_lock());
    EXPECT_TRUE(blue.take_instance_lock());
    TurnStore second(url("red"), {.id = "second", .host = "host"});
    EXPECT_FALSE(second.take_instance_lock());
    EXPECT_EQ(red.begin_epoch(), 1);
    EXPECT_EQ(blue.begin_epoch(), 1);
}

TEST_F(TwoSchemas, EachIsWokenByItsOwnOnly) {
    WakeConnection red(url("red"));
    WakeConnection blue(url("blue"));
    wake("red", "keys:5");
    wake("blue", "keys:6");
    const auto of_red = red.wait(-1, 20'000);
    const auto of_blue = blue.wait(-1, 20'000);
    ASSERT_EQ(of_red.size(), 1U);
    ASSERT_EQ(of_blue.size(), 1U);
    EXPECT_EQ(of_red[0].keys, std::vector<std::int32_t>{5});
    EXPECT_EQ(of_blue[0].keys, std::vector<std::int32_t>{6});
}

TEST_F(TwoSchemas, TheSchemaPublicKeepsThePlainNames) {
    const test::TestDatabase plain;
    EXPECT_STREQ(plain.connect().execute("SELECT tasker_channel('tasker_wake')")[0][0].c_str(),
                 "tasker_wake");
}

TEST(Faults, OnlyDataIsBlamedOnAMessage) {
    const auto fault = [](const std::string& sqlstate) { return fault_of(postgres::classify(sqlstate)); };
    EXPECT_EQ(fault("22003"), ports::DatabaseFault::data);
    EXPECT_EQ(fault("40P01"), ports::DatabaseFault::repeatable);
    EXPECT_EQ(fault("55P03"), ports::DatabaseFault::locked);
    EXPECT_EQ(fault("57P01"), ports::DatabaseFault::connection);
    for (const char* refused : {"25006", "42501", "42P01", "53100", "57014", "XX000"})
        EXPECT_EQ(fault(refused), ports::DatabaseFault::refused) << refused;
}

TEST(Faults, TheTextNamesTheSqlstate) {
    try {
        with_port_errors(
            [] { throw postgres::DatabaseError(postgres::DbFailure::other, "42P01", "no such table"); });
        FAIL() << "nothing was thrown";
    } catch (const ports::DatabaseError& error) {
        EXPECT_EQ(error.fault(), ports::DatabaseFault::refused);
        EXPECT_STREQ(error.what(), "SQLSTATE 42P01: no such table");
    }
}

TEST(ReadOnly, ALaneIsRefusedWithTheSetting) {
    const test::TestDatabase database;
    postgres::Connection admin = database.connect();
    const std::string name = admin.execute("SELECT current_database()")[0][0].c_str();
    admin.execute("ALTER DATABASE " + name + " SET default_transaction_read_only = on");
    try {
        const TurnStore lane(database.url(), {.id = "lane", .host = "host"});
        FAIL() << "a lane was opened";
    } catch (const ports::DatabaseError& error) {
        EXPECT_EQ(error.fault(), ports::DatabaseFault::refused);
        EXPECT_NE(std::string(error.what()).find("default_transaction_read_only"), std::string::npos);
    }
}

}  // namespace
}  // namespace tasker::store
