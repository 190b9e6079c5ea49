// The listener on bad days: deadlocks, lost connections, commits in doubt, poison, another orchestrator.
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "tests/unit/engine/listener_rig.hpp"

namespace tasker::engine {
namespace {

using ports::DatabaseFault;
using std::chrono::milliseconds;

class ListenerFaults : public ListenerRig {};

TEST_F(ListenerFaults, ARepeatableErrorRepeatsTheSameTurn) {
    start();
    claim({1});
    in_database([&](auto& db) {
        for (int i = 0; i < 3; ++i) db.turn_failures.push_back(failing(DatabaseFault::repeatable));
        db.turn_numbers_tried.clear();
    });
    push(done(1, 1));
    settle();
    in_database([&](auto& db) {
        ASSERT_GE(db.turn_numbers_tried.size(), 4U);
        for (int i = 1; i < 4; ++i)
            EXPECT_EQ(db.turn_numbers_tried[static_cast<std::size_t>(i)], db.turn_numbers_tried[0]);
    });
    EXPECT_EQ(listener->counters().turns_repeated, 3);
    EXPECT_EQ(log().count("ack s1 b1: 1"), 1U);
    EXPECT_EQ(connections, 1);
}

TEST_F(ListenerFaults, ATurnThatFailsHoweverOftenReadsBackBeforeItSuspectsAMessage) {
    start();
    claim({1});
    in_database([&](auto& db) {
        for (int i = 0; i < 25; ++i) db.turn_failures.push_back(failing(DatabaseFault::repeatable));
    });
    push(done(1, 1));
    settle();
    EXPECT_EQ(log().count("ack s1 b1: 1"), 1U);
    EXPECT_EQ(log().with("refuse"), "");
    EXPECT_EQ(connections, 2);
}

TEST_F(ListenerFaults, ALostConnectionReadsEverythingBackAndRunsTheSameMessagesAgain) {
    start();
    claim({1, 2});
    log().clear();
    in_database([&](auto& db) { db.turn_failures.push_back(failing(DatabaseFault::connection)); });
    push_together({done(1, 1), done(2, 2)});
    settle();
    EXPECT_EQ(connections, 2);
    EXPECT_LT(log().place("adopt b1"), log().place("ack s1 b1: 1 2"));
    EXPECT_EQ(listener->counters().reports_applied, 2);
    EXPECT_EQ(listener->counters().reconnects, 1);
    EXPECT_TRUE(listener->counters().database_reachable);
}

TEST_F(ListenerFaults, ADatabaseThatIsAwayLongerIsTriedAgainAndNothingIsAckedMeanwhile) {
    start();
    claim({1});
    log().clear();
    in_database([&](auto& db) {
        db.turn_failures.push_back(failing(DatabaseFault::connection));
        for (int i = 0; i < 4; ++i) {
            db.open_failures.push_back([this] {
                EXPECT_EQ(log().with("ack"), "");
                throw ports::DatabaseError(DatabaseFault::connection, "still away");
            });
        }
    });
    push(done(1, 1));
    settle();
    EXPECT_EQ(connections, 6);
    EXPECT_EQ(log().count("ack s1 b1: 1"), 1U);
}

TEST_F(ListenerFaults, ACommitInDoubtThatHappenedIsNotAppliedTwice) {
    start();
    claim({1});
    log().clear();
    in_database([&](auto& db) { db.after_commit_failures.push_back(failing(DatabaseFault::connection)); });
    push(done(1, 1));
    ASSERT_TRUE(log().wait([&] { return log().count("ack s1 b1: 1") == 1; }));
    settle();
    EXPECT_EQ(log().count("ack s1 b1: 1"), 1U);
    // The lane's turn number says that it was committed, so nothing runs again.
    EXPECT_EQ(listener->counters().commits_in_doubt, 1);
    std::string classes;
    in_database([&](auto& db) {
        for (const auto& input : db.turns) {
            for (const auto& message : input.messages) {
                classes += message.message_class == ports::MessageClass::final ? "F" : "D";
            }
        }
    });
    EXPECT_EQ(classes, "F");
    EXPECT_EQ(stored("b1").steps.at(0).final_status, "completed");
}

TEST_F(ListenerFaults, ACommitInDoubtThatStillHasSomethingToRecordRunsAgainAndIsADuplicate) {
    start();
    claim({1});
    in_database([&](auto& db) { db.after_commit_failures.push_back(failing(DatabaseFault::connection)); });
    push_together({done(1, 1), ports::Malformed{"results", "x", "bad", "test"}});
    ASSERT_TRUE(log().wait([&] { return log().count("ack s1 b1: 1") == 1; }));
    settle();
    EXPECT_EQ(listener->counters().commits_in_doubt, 0);
    EXPECT_EQ(log().count("rejected bad"), 1U);
    EXPECT_EQ(stored("b1").steps.at(0).final_status, "completed");
}

TEST_F(ListenerFaults, AMessageOfALockedTaskIsLeftToItsSenderAndTheOthersGetThrough) {
    start();
    claim({1, 2});
    const auto locked = failing(DatabaseFault::locked);
    // Both together, then the first half: only the second half gets through.
    in_database([&](auto& db) { db.turn_failures = {locked, locked}; });
    push_together({done(1, 1), done(2, 2)});
    ASSERT_TRUE(log().wait([&] { return log().count("ack s1 b1: 2") == 1; }));
    settle();
    EXPECT_EQ(log().count("ack s1 b1: 1"), 0U);
    EXPECT_EQ(listener->counters().messages_deferred, 1);
    EXPECT_EQ(log().count("rejected unstorable"), 0U) << "nothing is wrong with the message";
    clock.advance(std::chrono::seconds(1));
    push(done(1, 1));
    settle();
    EXPECT_EQ(log().count("ack s1 b1: 1"), 1U) << "sent again, it is taken";
}

// Nobody says a second time that a batch never left.
TEST_F(ListenerFaults, AnUndeliveredBatchOfALockedTaskIsHandedBackLater) {
    start();
    claim({1});
    const auto locked = failing(DatabaseFault::locked);
    in_database([&](auto& db) { db.turn_failures = {locked, locked}; });  // together, then alone
    push_together({ports::Undelivered{"s1", "b1"}, ports::Malformed{"results", "x", "other", "test"}});
    settle();
    EXPECT_EQ(stored("b1").steps.at(0).final_status, "");
    pass(std::chrono::milliseconds(1001));
    EXPECT_EQ(stored("b1").steps.at(0).final_status, "handed_back");
    EXPECT_EQ(log().with("publish"), "publish s1 b1: 1, publish s1 b2: 1");
}

// After the commit even a fault that may pass leaves memory behind the database.
TEST_F(ListenerFaults, ALockMetAfterTheCommitDoesNotLoseWhatWasClaimed) {
    start();
    in_database([&](auto& db) { db.due_failures.push_back(failing(DatabaseFault::locked)); });
    database.add_ready({1});
    push(ports::Wake{true, false, {}});
    settle();
    EXPECT_EQ(log().count("adopt b1"), 1U);
    EXPECT_EQ(listener->counters().open_batches, 1);
    push(done(1, 1));
    settle();
    EXPECT_EQ(listener->counters().reports_applied, 1);
}

TEST_F(ListenerFaults, BatchesOfACommitInDoubtAreAdoptedNotForgotten) {
    start();
    in_database([&](auto& db) { db.after_commit_failures.push_back(failing(DatabaseFault::connection)); });
    claim({1});
    EXPECT_EQ(log().with("publish"), "") << "its answer was lost";
    EXPECT_EQ(log().count("adopt b1"), 1U) << "io sends what was adopted and is not known";
    EXPECT_EQ(listener->counters().open_batches, 1);
    push(done(1, 1));
    settle();
    EXPECT_EQ(listener->counters().reports_applied, 1);
}

TEST_F(ListenerFaults, AStepTooLargeToSendIsNotForgottenByALostConnection) {
    options.limits.batch_bytes = 10'000;
    in_database([](auto& db) {
        db.next_context = R"({"x":")" + std::string(20'000, 'x') + "\"}";
        db.after_commit_failures.push_back([] {});  // the first turn claims nothing
        db.after_commit_failures.push_back(failing(DatabaseFault::connection));
    });
    start();
    claim({1});
    EXPECT_EQ(stored("b1").steps.at(0).final_status, "handed_back");
    EXPECT_EQ(stored("b1").state, core::BatchState::cancelled);
}

TEST_F(ListenerFaults, ADatabaseThatGoesAwayDuringTheStartIsWaitedFor) {
    for (int i = 0; i < 2; ++i) database.open_failures.push_back(failing(DatabaseFault::connection));
    database.add_ready({1});
    start();
    EXPECT_EQ(connections, 3);
    EXPECT_EQ(log().with("publish"), "publish s1 b1: 1");
}

TEST_F(ListenerFaults, OnePoisonousMessageIsIsolatedAndTheOthersGetThrough) {
    start();
    std::vector<std::int64_t> ids;
    for (int i = 1; i <= 9; ++i) ids.push_back(i);
    claim(ids);
    in_database([](auto& db) { db.poison = "poison"; });
    std::vector<ports::Inbound> together;
    for (const auto id : ids) together.push_back(done(id, id, "b1", id == 6 ? "{\"poison\":1}" : "{}"));
    push_together(std::move(together));
    settle();
    EXPECT_EQ(listener->counters().reports_applied, 8);
    EXPECT_EQ(log().with("refuse"), "refuse s1 b1: 6 unstorable");
    EXPECT_EQ(log().count("rejected unstorable"), 1U);
    for (const auto id : ids) {
        const auto status = stored("b1").steps.at(static_cast<std::size_t>(id - 1)).final_status;
        EXPECT_EQ(status, id == 6 ? "" : "completed") << id;
    }
    // The refused one is not forgotten as a delivery: a storable report still ends it.
    push(done(6, 10));
    settle();
    EXPECT_EQ(listener->counters().reports_applied, 9);
}

TEST_F(ListenerFaults, AFailureOfTheProgramItselfIsIsolatedTooAndEndsNoLane) {
    start();
    claim({1, 2, 3});
    in_database([&](auto& db) {
        // The turn of all three, the same without claims, that of the first alone, and then no more.
        for (int i = 0; i < 3; ++i)
            db.turn_failures.push_back([] { throw std::length_error("vector::_M_fill_insert"); });
    });
    push_together({done(1, 1), done(2, 2), done(3, 3)});
    // What settle() pushes must not join their turn, which would be halved elsewhere then.
    ASSERT_TRUE(log().wait([&] { return log().count("refuse s1 b1: 1 unstorable") == 1; }));
    settle();
    EXPECT_EQ(log().with("refuse"), "refuse s1 b1: 1 unstorable");
    EXPECT_EQ(log().count("rejected unstorable"), 1U);
    EXPECT_EQ(listener->counters().reports_applied, 2);
    EXPECT_FALSE(finished);
    EXPECT_EQ(connections, 1);
    EXPECT_EQ(credit.reserved, 0) << "what was reserved for them is free again";
}

TEST_F(ListenerFaults, PoisonIsRefusedOnlyOnceItIsRecorded) {
    start();
    claim({1});
    in_database([&](auto& db) {
        db.poison = "poison";
        db.record_failures.push_back(failing(DatabaseFault::connection));
    });
    push(done(1, 1, "b1", "{\"poison\":1}"));
    ASSERT_TRUE(log().wait([&] { return finished || log().with("refuse") != ""; }));
    EXPECT_LT(log().place("rejected unstorable"), log().place("refuse s1 b1: 1 unstorable"));
    EXPECT_EQ(connections, 2);
}

// Its worker sends again and again what somebody in a console keeps from being written: that costs the others nothing.
TEST_F(ListenerFaults, AStepThatSomebodyHoldsIsTriedByItselfAndSeldom) {
    start();
    claim({1, 2, 3});
    in_database([&](auto& db) {
        const auto locked = failing(DatabaseFault::locked);
        db.turn_failures = {locked, locked};  // both reports, then the first alone
    });
    push_together({done(1, 1), done(2, 2)});
    ASSERT_TRUE(log().wait([&] { return log().count("ack s1 b1: 2") == 1; }));
    settle();
    push_together({done(1, 1), done(3, 3)});
    ASSERT_TRUE(log().wait([&] { return log().count("ack s1 b1: 3") == 1; }));
    settle();
    EXPECT_EQ(log().count("ack s1 b1: 1"), 0U) << "not tried within a second";
    EXPECT_EQ(listener->counters().messages_deferred, 2);
    clock.advance(std::chrono::seconds(1));
    push(done(1, 1));
    ASSERT_TRUE(log().wait([&] { return log().count("ack s1 b1: 1") == 1; }));
}

// Once it is let go, what waits follows at once: not one message a second.
TEST_F(ListenerFaults, StepsThatWereHeldAreTakenTogetherOnceOneOfThemIs) {
    start();
    claim({1, 2, 3});
    in_database([&](auto& db) {
        const auto locked = failing(DatabaseFault::locked);
        db.turn_failures = {locked, locked, locked, locked, locked};
    });
    push_together({done(1, 1), done(2, 2), done(3, 3)});
    settle();
    EXPECT_EQ(listener->counters().messages_deferred, 3);
    clock.advance(std::chrono::seconds(1));
    push_together({done(1, 1), done(2, 2), done(3, 3)});
    ASSERT_TRUE(log().wait([&] { return log().count("ack s1 b1: 3") == 1; }));
    EXPECT_EQ(listener->counters().messages_deferred, 3);
}

TEST_F(ListenerFaults, ALockOnTheRejectedMessagesKeepsNothingFromBeingWritten) {
    start();
    claim({1, 2});
    in_database([&](auto& db) { db.record_failures.push_back(failing(DatabaseFault::locked)); });
    push_together({done(1, 1), ports::Malformed{"results", "x", "broken", "test"}});
    ASSERT_TRUE(log().wait([&] { return log().count("ack s1 b1: 1") == 1; }));
    push_together({done(2, 2), ports::Malformed{"results", "x", "broken", "test"}});
    ASSERT_TRUE(log().wait([&] { return log().count("ack s1 b1: 2") == 1; }));
    EXPECT_EQ(log().count("rejected broken"), 0U) << "for a while nobody tries";
    EXPECT_EQ(listener->counters().turns_repeated, 0);
    clock.advance(std::chrono::seconds(5));
    settle();
    EXPECT_EQ(connections, 1);
}

TEST_F(ListenerFaults, PoisonThatCannotBeRecordedIsLeftToItsSender) {
    start();
    claim({1, 2});
    in_database([&](auto& db) {
        db.poison = "poison";
        db.record_failures.push_back(failing(DatabaseFault::locked));
    });
    push_together({done(1, 1, "b1", "{\"poison\":1}"), done(2, 2)});
    ASSERT_TRUE(log().wait([&] { return log().count("ack s1 b1: 2") == 1; }));
    clock.advance(std::chrono::seconds(5));
    settle();
    EXPECT_EQ(log().with("refuse"), "");
    EXPECT_EQ(log().count("reopen b1: 1"), 1U) << "its worker has to account for the step as before";
    push(done(1, 1, "b1", "{\"poison\":1}"));
    ASSERT_TRUE(log().wait([&] { return log().with("refuse") != ""; }));
    EXPECT_EQ(log().count("rejected unstorable"), 1U);
}

TEST_F(ListenerFaults, AFailureAfterTheCommitGivesTheCreditBackAndAdoptsWhatWasClaimed) {
    start();
    // The claim's turn is committed; recording the rejected message then fails.
    in_database([&](auto& db) { db.record_failures.push_back(failing(DatabaseFault::connection)); });
    database.add_ready({1});
    ports::Wake wake;
    wake.keys = {1};
    push_together({wake, ports::Malformed{"results", "x", "broken", "test"}});
    settle();
    EXPECT_EQ(log().count("rejected broken"), 1U);
    EXPECT_EQ(log().count("adopt b1"), 1U);
    EXPECT_EQ(log().with("publish"), "publish s1 b1: 1");
}

TEST_F(ListenerFaults, AnotherOrchestratorEndsRun) {
    start();
    claim({1});
    log().clear();
    in_database([](auto& db) { db.turn_failures.push_back([] { throw ports::EpochLost{}; }); });
    push(done(1, 1));
    ASSERT_TRUE(log().wait([&] { return finished.load(); }));
    EXPECT_TRUE(epoch_lost);
    EXPECT_EQ(log().with("ack"), "");
    credit.reserved = 0;  // the process ends; nobody needs the credit
}

TEST_F(ListenerFaults, AnotherOrchestratorFoundWhileReconnectingEndsRunToo) {
    start();
    in_database([&](auto& db) {
        db.turn_failures.push_back(failing(DatabaseFault::connection));
        db.open_failures.push_back([] { throw ports::EpochLost{}; });
    });
    push(ports::Wake{true, false, {}});
    ASSERT_TRUE(log().wait([&] { return finished.load(); }));
    EXPECT_TRUE(epoch_lost);
}

TEST_F(ListenerFaults, StoppingDoesNotWaitForADatabaseThatIsAway) {
    start();
    claim({1});
    log().clear();
    in_database([&](auto& db) {
        db.turn_failures.push_back(failing(DatabaseFault::connection));
        db.open_failures.push_back([this] {
            stopping = true;
            throw ports::DatabaseError(DatabaseFault::connection, "away");
        });
    });
    push(done(1, 1));
    ASSERT_TRUE(log().wait([&] { return stopping.load(); }));
    stop();
    EXPECT_EQ(log().with("ack"), "") << "its outbox keeps the report for the next start";
}

}  // namespace
}  // namespace tasker::engine
