// A lane's connection without a listener: opening, reopening, and the turn whose commit nobody has confirmed.
#include "orchestrator/engine/turns/lane_connection.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "orchestrator/ports/database_error.hpp"
#include "tests/unit/engine/fakes.hpp"

namespace tasker::engine {
namespace {

using ports::DatabaseError;
using ports::DatabaseFault;
using std::chrono::milliseconds;

class LaneConnectionTest : public ::testing::Test {
  protected:
    LaneConnectionTest() { mailbox.close(); }  // its pauses end at once

    static FakeDatabase::Failure failing(DatabaseFault fault) {
        return [fault] { throw DatabaseError(fault, "told to fail"); };
    }
    std::unique_ptr<ports::Store> open(std::int64_t& last_turn) {
        ++opened;
        if (!database.open_failures.empty()) {
            const auto failure = std::move(database.open_failures.front());
            database.open_failures.pop_front();
            failure();
        }
        last_turn = database.last_turn;
        return std::make_unique<FakeStore>(database);
    }
    static ports::TurnInput due() {
        ports::TurnInput input;
        input.due = true;
        return input;
    }
    static std::vector<ports::AckList> owed() { return {{"s1", {{"b1", {1}}}, {}}}; }

    ListenerOptions options;
    FakeDatabase database;
    FakeCredit credit;
    FakeClock clock;
    Mailbox mailbox{10};
    std::atomic<bool> stopping{false};
    ListenerCounters counters;
    int opened = 0;
    int loads = 0;
    LaneConnection connection{options,
                              {[this](std::int64_t& last_turn) { return open(last_turn); }, credit, mailbox,
                               clock, stopping, counters},
                              [this](ports::Store&) { ++loads; }};
};

TEST_F(LaneConnectionTest, OpensOnceAndSaysWhyNot) {
    database.open_failures.push_back(failing(DatabaseFault::connection));
    EXPECT_EQ(connection.open(), "told to fail");
    EXPECT_FALSE(connection.is_open());
    EXPECT_EQ(connection.open(), "");
    EXPECT_TRUE(connection.is_open());
    EXPECT_EQ(loads, 1);
}

TEST_F(LaneConnectionTest, AFailureThatWillNotPassIsNotSwallowed) {
    database.open_failures.push_back(failing(DatabaseFault::data));
    EXPECT_THROW(connection.open(), DatabaseError);
}

TEST_F(LaneConnectionTest, ReopensUntilTheDatabaseIsBackAndIsAwayMeanwhile) {
    connection.open();
    for (int i = 0; i < 3; ++i) {
        database.open_failures.push_back([this] {
            EXPECT_TRUE(credit.away);
            EXPECT_FALSE(counters.database_reachable);
            throw DatabaseError(DatabaseFault::connection, "still away");
        });
    }
    connection.reopen("lost");
    EXPECT_TRUE(connection.is_open());
    EXPECT_FALSE(credit.away);
    EXPECT_TRUE(counters.database_reachable);
    EXPECT_EQ(counters.reconnects, 1);
    EXPECT_EQ(opened, 5);
    EXPECT_EQ(loads, 2);
}

TEST_F(LaneConnectionTest, StopsTryingWhenTheServiceStops) {
    connection.open();
    database.open_failures.push_back([this] {
        stopping = true;
        throw DatabaseError(DatabaseFault::connection, "away");
    });
    connection.reopen("lost");
    EXPECT_FALSE(connection.is_open());
}

TEST_F(LaneConnectionTest, AnotherOrchestratorEndsTheTrying) {
    connection.open();
    database.open_failures.push_back([] { throw ports::EpochLost{}; });
    EXPECT_THROW(connection.reopen("lost"), ports::EpochLost);
}

TEST_F(LaneConnectionTest, NumbersTurnsOnFromTheDatabase) {
    database.last_turn = 41;
    connection.open();
    connection.run_turn(due(), {}, false);
    connection.run_turn(due(), {}, false);
    EXPECT_EQ(database.turn_numbers_tried, (std::vector<std::int64_t>{42, 43}));
    EXPECT_EQ(counters.turns, 2);
}

TEST_F(LaneConnectionTest, ATurnThatDeadlocksKeepsItsNumber) {
    connection.open();
    database.turn_failures.push_back(failing(DatabaseFault::repeatable));
    connection.run_turn(due(), {}, false);
    EXPECT_EQ(database.turn_numbers_tried, (std::vector<std::int64_t>{1, 1}));
    EXPECT_EQ(counters.turns_repeated, 1);
}

TEST_F(LaneConnectionTest, ACommitInDoubtThatHappenedIsAcknowledgedOnce) {
    connection.open();
    database.after_commit_failures.push_back(failing(DatabaseFault::connection));
    EXPECT_THROW(connection.run_turn(due(), owed(), false), DatabaseError);
    EXPECT_FALSE(connection.is_committed()) << "nobody has said so yet";
    connection.reopen("lost");
    EXPECT_TRUE(connection.is_committed());
    const auto acks = connection.resolve_commit_in_doubt();
    ASSERT_TRUE(acks);
    EXPECT_EQ(acks->at(0).session, "s1");
    EXPECT_EQ(counters.commits_in_doubt, 1);
    EXPECT_FALSE(connection.resolve_commit_in_doubt());
}

TEST_F(LaneConnectionTest, ACommitInDoubtThatDidNotHappenRunsAgain) {
    connection.open();
    database.turn_failures.push_back(failing(DatabaseFault::connection));
    EXPECT_THROW(connection.run_turn(due(), owed(), false), DatabaseError);
    connection.reopen("lost");
    EXPECT_FALSE(connection.is_committed());
    EXPECT_FALSE(connection.resolve_commit_in_doubt());
    EXPECT_EQ(counters.commits_in_doubt, 0);
}

TEST_F(LaneConnectionTest, OneThatStillHasSomethingToRecordRunsAgainToo) {
    connection.open();
    database.after_commit_failures.push_back(failing(DatabaseFault::connection));
    EXPECT_THROW(connection.run_turn(due(), owed(), true), DatabaseError);
    connection.reopen("lost");
    EXPECT_FALSE(connection.resolve_commit_in_doubt());
}

TEST_F(LaneConnectionTest, AConfirmedTurnIsNotInDoubt) {
    connection.open();
    connection.run_turn(due(), owed(), false);
    EXPECT_TRUE(connection.is_committed());
    connection.confirm_commit();
    EXPECT_FALSE(connection.is_committed());
    connection.reopen("lost");
    EXPECT_FALSE(connection.resolve_commit_in_doubt());
}

}  // namespace
}  // namespace tasker::engine
