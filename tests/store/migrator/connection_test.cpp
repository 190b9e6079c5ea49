// What callers rely on when the database refuses, dies or disappears.
#include "orchestrator/postgres/connection.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <thread>

#include "tests/support/postgres.hpp"
#include "tests/support/wait_until.hpp"

namespace tasker::postgres {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

DatabaseError failure_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const DatabaseError& error) {
        return error;
    }
    ADD_FAILURE() << "expected a DatabaseError";
    return {DbFailure::other, "", "nothing was thrown"};
}

void end_backend(const test::TestDatabase& database, int pid) {
    Connection admin = database.connect();
    admin.query("SELECT pg_terminate_backend($1, 10000)", pid);
}

class ConnectionTest : public testing::Test {
  protected:
    test::TestDatabase database_{test::Schema::none};
    Connection connection_ = database_.connect();
};

TEST_F(ConnectionTest, PassesParametersOfEveryKind) {
    const auto row = connection_.query(
        "SELECT $1::int + 1, $2::text || '!', $3::bool, $4::text IS NULL, $5::bytea = '\\x00ff'::bytea", 41,
        std::string("a'b\"\\"), true, nullptr, Bytes(std::string("\0\xff", 2)))[0];
    EXPECT_EQ(row[0].as<int>(), 42);
    EXPECT_EQ(row[1].as<std::string>(), "a'b\"\\!");
    EXPECT_TRUE(row[2].as<bool>());
    EXPECT_TRUE(row[3].as<bool>());
    EXPECT_TRUE(row[4].as<bool>());
}

TEST_F(ConnectionTest, PreparedStatementsAreCheckedWhenPrepared) {
    connection_.prepare("add", "SELECT $1::int + $2::int");
    EXPECT_EQ(connection_.run("add", 2, 3)[0][0].as<int>(), 5);
    const auto error = failure_of([&] { connection_.prepare("broken", "SELEC 1"); });
    EXPECT_EQ(error.kind(), DbFailure::other);
    EXPECT_EQ(error.sqlstate(), "42601");
}

TEST_F(ConnectionTest, FailedStatementLeavesTheConnectionUsable) {
    const auto error = failure_of([&] { connection_.execute("SELECT 1/0"); });
    EXPECT_EQ(error.kind(), DbFailure::data);
    EXPECT_EQ(error.sqlstate(), "22012");
    EXPECT_FALSE(error.connection_is_gone());
    EXPECT_EQ(connection_.execute("SELECT 1")[0][0].as<int>(), 1);
}

TEST_F(ConnectionTest, SettingsHoldFromTheFirstStatementOn) {
    Connection limited = database_.connect({.application_name = "test of settings",
                                            .statement_timeout = milliseconds(20),
                                            .lock_timeout = milliseconds(1234)});
    EXPECT_STREQ(limited.execute("SHOW application_name")[0][0].c_str(), "test of settings");
    EXPECT_STREQ(limited.execute("SHOW lock_timeout")[0][0].c_str(), "1234ms");
    EXPECT_EQ(failure_of([&] { limited.execute("SELECT pg_sleep(30)"); }).sqlstate(), "57014");
}

TEST_F(ConnectionTest, TransactionRollsBackUnlessCommitted) {
    connection_.execute("CREATE TABLE kept (n int)");
    {
        Transaction transaction = connection_.begin();
        transaction.execute("INSERT INTO kept VALUES (1)");
    }
    {
        Transaction transaction = connection_.begin();
        transaction.query("INSERT INTO kept VALUES ($1)", 2);
        transaction.commit();
    }
    const auto rows = connection_.execute("SELECT n FROM kept");
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows[0][0].as<int>(), 2);
}

TEST_F(ConnectionTest, DeadConnectionIsNeverReopened) {
    connection_.execute("SELECT pg_advisory_lock(7)");
    const int first_backend = connection_.backend_pid();
    end_backend(database_, first_backend);
    EXPECT_TRUE(failure_of([&] { connection_.execute("SELECT 1"); }).connection_is_gone());
    const auto again = failure_of([&] { connection_.execute("SELECT 1"); });
    EXPECT_EQ(again.kind(), DbFailure::connection_lost);
    EXPECT_EQ(connection_.socket(), -1);
    EXPECT_FALSE(connection_.is_open());
    EXPECT_EQ(failure_of([&] { connection_.begin(); }).kind(), DbFailure::connection_lost);
}

TEST_F(ConnectionTest, AutocommitThatDiesUnderwayIsInDoubt) {
    const int backend = connection_.backend_pid();
    connection_.execute("CREATE TABLE written (n int)");
    std::thread killer([&] {
        Connection admin = database_.connect();
        const bool ended = test::wait_until(
            [&] {
                return !admin
                            .query(
                                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                "WHERE pid = $1 AND wait_event = 'PgSleep'",
                                backend)
                            .empty();
            },
            std::chrono::seconds(20));
        EXPECT_TRUE(ended) << "the statement was never seen running";
    });
    const auto error =
        failure_of([&] { connection_.execute("INSERT INTO written SELECT 1 FROM pg_sleep(60)"); });
    killer.join();
    EXPECT_EQ(error.kind(), DbFailure::in_doubt) << error.what();
}

TEST_F(ConnectionTest, TransactionThatDiesBeforeCommitIsLostNotInDoubt) {
    Transaction transaction = connection_.begin();
    transaction.execute("SELECT 1");
    end_backend(database_, connection_.backend_pid());
    const auto error = failure_of([&] { transaction.execute("SELECT 1"); });
    EXPECT_TRUE(error.kind() == DbFailure::connection_lost || error.kind() == DbFailure::shutting_down)
        << to_string(error.kind()) << ": " << error.what();
}

TEST_F(ConnectionTest, CommitThatGetsNoAnswerIsInDoubt) {
    Transaction transaction = connection_.begin();
    transaction.execute("SELECT 1");
    end_backend(database_, connection_.backend_pid());
    EXPECT_EQ(failure_of([&] { transaction.commit(); }).kind(), DbFailure::in_doubt);
}

TEST_F(ConnectionTest, SerializationFailureIsRetryable) {
    connection_.execute("CREATE TABLE counted (n int); INSERT INTO counted VALUES (0)");
    Transaction first = connection_.begin();
    first.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    first.execute("SELECT n FROM counted");
    Connection other = database_.connect();
    other.execute("UPDATE counted SET n = 1");
    const auto error = failure_of([&] { first.execute("UPDATE counted SET n = 2"); });
    EXPECT_EQ(error.kind(), DbFailure::retryable);
    EXPECT_EQ(error.sqlstate(), "40001");
}

TEST_F(ConnectionTest, DeadlockIsRetryable) {
    connection_.execute("CREATE TABLE locked (n int PRIMARY KEY); INSERT INTO locked VALUES (1), (2)");
    Connection other = database_.connect();
    Transaction mine = connection_.begin();
    Transaction theirs = other.begin();
    mine.execute("UPDATE locked SET n = n WHERE n = 1");
    theirs.execute("UPDATE locked SET n = n WHERE n = 2");
    // Whichever of the two the server picks as the victim, exactly one fails.
    std::optional<DatabaseError> in_thread;
    std::thread crossing([&] {
        try {
            theirs.execute("UPDATE locked SET n = n WHERE n = 1");
        } catch (const DatabaseError& error) {
            in_thread = error;
        }
    });
    std::optional<DatabaseError> here;
    try {
        mine.execute("UPDATE locked SET n = n WHERE n = 2");
        mine.commit();
    } catch (const DatabaseError& error) {
        here = error;
        mine.roll_back();
    }
    crossing.join();
    ASSERT_NE(here.has_value(), in_thread.has_value());
    const DatabaseError& error = here ? *here : *in_thread;
    EXPECT_EQ(error.kind(), DbFailure::retryable);
    EXPECT_EQ(error.sqlstate(), "40P01");
}

TEST_F(ConnectionTest, NotificationsArriveOnTheSocket) {
    connection_.listen("test_channel");
    Connection sender = database_.connect();
    sender.execute("NOTIFY test_channel, 'first'");
    sender.execute("NOTIFY other_channel, 'not ours'");
    sender.execute("NOTIFY test_channel, 'second'");
    std::vector<std::string> payloads;
    while (payloads.size() < 2) {
        pollfd item{connection_.socket(), POLLIN, 0};
        ASSERT_EQ(::poll(&item, 1, 10'000), 1) << "no notification within 10 s";
        for (const auto& notification : connection_.take_notifications())
            payloads.push_back(notification.payload);
    }
    EXPECT_THAT(payloads, testing::ElementsAre("first", "second"));
}

TEST_F(ConnectionTest, ListenerNoticesThatTheServerLeft) {
    connection_.listen("test_channel");
    end_backend(database_, connection_.backend_pid());
    pollfd item{connection_.socket(), POLLIN, 0};
    ASSERT_EQ(::poll(&item, 1, 10'000), 1);
    EXPECT_TRUE(failure_of([&] {
                    // The farewell and the end of the stream may come in two pieces.
                    for (int look = 0; look < 100; ++look) {
                        connection_.take_notifications();
                        ::poll(&item, 1, 1000);
                    }
                }).connection_is_gone());
}

TEST(ConnectionErrors, NameTheServerButNeverThePassword) {
    const std::string url = "postgresql://someone:s3cret-word@127.0.0.1:1/orders";
    const auto error = failure_of([&] { Connection connection(url); });
    EXPECT_EQ(error.kind(), DbFailure::connection_lost);
    EXPECT_THAT(error.what(), HasSubstr("database \"orders\" at 127.0.0.1:1 (user \"someone\")"));
    EXPECT_THAT(error.what(), Not(HasSubstr("s3cret-word")));
    EXPECT_THAT(describe_database(url), Not(HasSubstr("s3cret-word")));
}

TEST(ConnectionErrors, MalformedUrlIsExplainedButNotRepeated) {
    const auto error = failure_of([] { Connection connection("postgresql://user:s3cret-word@[broken/db"); });
    EXPECT_EQ(error.kind(), DbFailure::other);
    EXPECT_THAT(error.what(), HasSubstr("postgresql://USER:PASSWORD@HOST:PORT/DATABASE"));
    EXPECT_THAT(error.what(), Not(HasSubstr("s3cret-word")));
}

TEST(ConnectionErrors, ServerThatNeverAnswersIsGivenUpInTime) {
    // The kernel accepts for a socket that listens; nobody ever reads from it.
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof place;
    ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&place), size), 0);
    ASSERT_EQ(::listen(listener, 1), 0);
    ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&place), &size), 0);
    const std::string url = "postgresql://127.0.0.1:" + std::to_string(ntohs(place.sin_port)) + "/orders";
    const auto started = std::chrono::steady_clock::now();
    const auto error = failure_of([&] { Connection connection(Address(url, milliseconds(1))); });
    const auto took = std::chrono::steady_clock::now() - started;
    ::close(listener);
    EXPECT_EQ(error.kind(), DbFailure::connection_lost) << error.what();
    // libpq's minimum is 2 s; without the setting it would be 5.
    EXPECT_LT(took, std::chrono::milliseconds(4500));
}

TEST(ConnectionErrors, MissingDatabaseIsNotWorthWaitingFor) {
    const std::string url = with_database(test::server_url(), "there_is_no_such_database");
    const auto error = failure_of([&] { Connection connection(url); });
    EXPECT_EQ(error.kind(), DbFailure::other);
    EXPECT_THAT(error.what(), HasSubstr("does not exist"));
}

}  // namespace
}  // namespace tasker::postgres
