// How the messages of a round get through turns that fail, with attempts that end as a script says.
#include "orchestrator/engine/turns/turn_split.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace tasker::engine {
namespace {

using ports::DatabaseFault;

/// Message number i is a StepRunning of step i.
std::vector<ports::Inbound> messages(int count) {
    std::vector<ports::Inbound> made;
    for (int i = 1; i <= count; ++i) made.emplace_back(ports::StepRunning{"b1", i, 1, 0});
    return made;
}

/// Runs a round as the listener does, except that nothing is written: `attempt` says how each turn ends.
class Round {
  public:
    /// Of this turn: nothing when it is committed, else why not.
    using Attempt = std::function<std::optional<DatabaseFault>(const std::vector<int>& steps, bool own_work)>;

    explicit Round(Attempt attempt) : attempt_(std::move(attempt)) {}

    void run(int count) {
        const auto inbound = messages(count);
        TurnSplit split(inbound);
        for (int turns = 0; !split.is_finished(); ++turns) {
            ASSERT_LT(turns, 100) << "it does not end: " << log;
            const bool with_own_work = has_own_work && own_work_may_be_written && split.takes_own_work();
            const auto steps = steps_of(split);
            log += (log.empty() ? "" : " ") + text(steps) + (with_own_work ? "+own" : "");
            const bool claims = has_claims && split.takes_claims();
            if (claims) log += "+claims";
            const auto fault = claims && failing_claims ? failing_claims : attempt_(steps, with_own_work);
            if (!fault) {
                if (with_own_work) has_own_work = false;
                split.finish_turn(has_own_work);
                continue;
            }
            switch (split.on_failed(*fault, with_own_work, claims)) {
                case FailedTurn::read_back:
                    log += " read_back";
                    break;
                case FailedTurn::repeat:
                    break;
                case FailedTurn::leave_out_claims:
                    log += " unclaimed";
                    break;
                case FailedTurn::postpone_own_work:
                    log += " postponed";
                    own_work_may_be_written = false;
                    break;
                case FailedTurn::defer_messages:
                    log += " deferred";
                    split.finish_turn(has_own_work);
                    break;
                case FailedTurn::reject_message:
                    log += " rejected";
                    split.finish_turn(has_own_work);
                    break;
                case FailedTurn::give_up:
                    log += " gave_up";
                    split.finish_turn(has_own_work);
                    break;
            }
        }
    }

    bool has_own_work = false;
    bool own_work_may_be_written = true;
    bool has_claims = false;
    std::optional<DatabaseFault> failing_claims = std::nullopt;
    std::string log;

  private:
    static std::vector<int> steps_of(const TurnSplit& split) {
        std::vector<int> steps;
        for (const auto& message : split.messages())
            steps.push_back(static_cast<int>(std::get<ports::StepRunning>(message).step_id));
        return steps;
    }
    static std::string text(const std::vector<int>& steps) {
        std::string text = "[";
        for (const auto step : steps) text += std::to_string(step);
        return text + "]";
    }

    Attempt attempt_;
};

/// Fails with `fault` whenever the turn contains one of these steps.
Round::Attempt failing_with(DatabaseFault fault, std::vector<int> bad) {
    return [fault, bad](const std::vector<int>& steps, bool) -> std::optional<DatabaseFault> {
        for (const auto step : steps) {
            if (std::find(bad.begin(), bad.end(), step) != bad.end()) return fault;
        }
        return std::nullopt;
    };
}

/// Fails as the list says, then no more.
Round::Attempt failing_first(std::vector<DatabaseFault> faults) {
    return [faults, next = std::size_t{0}](const auto&, bool) mutable -> std::optional<DatabaseFault> {
        return next < faults.size() ? std::optional(faults[next++]) : std::nullopt;
    };
}

TEST(TurnSplitTest, UsuallyAllMessagesAndTheOwnWorkAreOneTurn) {
    Round round(failing_first({}));
    round.has_own_work = true;
    round.run(3);
    EXPECT_EQ(round.log, "[123]+own");
    EXPECT_FALSE(round.has_own_work);
}

TEST(TurnSplitTest, ARoundWithoutMessagesIsOneTurn) {
    Round round(failing_first({}));
    round.run(0);
    EXPECT_EQ(round.log, "[]");
}

TEST(TurnSplitTest, ALostConnectionReadsBackAndRepeatsHoweverOften) {
    Round round(
        failing_first({DatabaseFault::connection, DatabaseFault::connection, DatabaseFault::connection}));
    round.run(2);
    EXPECT_EQ(round.log, "[12] read_back [12] read_back [12] read_back [12]");
}

TEST(TurnSplitTest, ARefusalBlamesNoMessageAndIsReadBackUntilItPasses) {
    Round round(failing_first({DatabaseFault::refused, DatabaseFault::refused}));
    round.run(2);
    EXPECT_EQ(round.log, "[12] read_back [12] read_back [12]");
}

TEST(TurnSplitTest, AStubbornTurnReadsBackOnceBeforeAMessageIsSuspected) {
    Round round(failing_with(DatabaseFault::repeatable, {2}));
    round.run(2);
    EXPECT_EQ(round.log, "[12] read_back [12] [1] [2] read_back [2] rejected");
}

TEST(TurnSplitTest, OnePoisonousMessageStandsAloneInTheEnd) {
    Round round(failing_with(DatabaseFault::data, {6}));
    round.run(9);
    EXPECT_EQ(round.log, "[123456789] [1234] [56789] [56] [5] [6] rejected [789]");
}

TEST(TurnSplitTest, SeveralPoisonousMessagesAreAllFound) {
    Round round(failing_with(DatabaseFault::data, {1, 4}));
    round.run(4);
    EXPECT_EQ(round.log, "[1234] [12] [1] rejected [2] [34] [3] [4] rejected");
}

TEST(TurnSplitTest, AMessageOfALockedTaskIsLeftToItsSender) {
    Round round(failing_with(DatabaseFault::locked, {2}));
    round.run(3);
    EXPECT_EQ(round.log, "[123] [1] [23] [2] deferred [3]");
}

TEST(TurnSplitTest, OwnWorkThatFailsWithTheMessagesFollowsThem) {
    Round round([](const auto& steps, bool own_work) -> std::optional<DatabaseFault> {
        return own_work && !steps.empty() ? std::optional(DatabaseFault::locked) : std::nullopt;
    });
    round.has_own_work = true;
    round.run(2);
    EXPECT_EQ(round.log, "[12]+own [12] []+own");
    EXPECT_FALSE(round.has_own_work);
}

TEST(TurnSplitTest, OwnWorkThatFailsAloneTooIsPostponed) {
    Round round([](const auto&, bool own_work) -> std::optional<DatabaseFault> {
        return own_work ? std::optional(DatabaseFault::locked) : std::nullopt;
    });
    round.has_own_work = true;
    round.run(2);
    EXPECT_EQ(round.log, "[12]+own [12] []+own postponed []");
    EXPECT_TRUE(round.has_own_work);
}

TEST(TurnSplitTest, OwnWorkComesToItsTurnThoughAMessageKeepsFailing) {
    Round round(failing_with(DatabaseFault::data, {1}));
    round.has_own_work = true;
    round.run(1);
    EXPECT_EQ(round.log, "[1]+own [1] rejected []+own");
}

// What the last half reports must not be timed out by the first.
TEST(TurnSplitTest, NoHalfOfTheMessagesContainsOwnWork) {
    Round round(failing_with(DatabaseFault::data, {3}));
    round.has_own_work = true;
    round.run(4);
    EXPECT_EQ(round.log, "[1234]+own [1234] [12] [34] [3] rejected [4] []+own");
}

TEST(TurnSplitTest, OwnWorkThatAppearsWhileTheMessagesAreInHalvesWaitsForTheNextRound) {
    Round round(failing_with(DatabaseFault::data, {1}));
    round.own_work_may_be_written = false;
    round.has_own_work = true;
    round.run(2);
    EXPECT_EQ(round.log, "[12] [1] rejected [2]");
    EXPECT_TRUE(round.has_own_work);
}

TEST(TurnSplitTest, OwnWorkThatIsGoneMeanwhileNeedsNoTurn) {
    const auto inbound = messages(1);
    TurnSplit split(inbound);
    EXPECT_EQ(split.on_failed(DatabaseFault::locked, true, false), FailedTurn::repeat);
    EXPECT_FALSE(split.takes_own_work());
    split.finish_turn(false);
    EXPECT_TRUE(split.is_finished());
}

TEST(TurnSplitTest, ClaimsAreLeftOutBeforeAnyMessageIsSuspected) {
    Round round([](const auto&, bool) -> std::optional<DatabaseFault> { return std::nullopt; });
    round.has_claims = true;
    round.failing_claims = DatabaseFault::data;
    round.has_own_work = true;
    round.run(3);
    EXPECT_EQ(round.log, "[123]+own+claims unclaimed [123]+own");
    Round poisoned(failing_with(DatabaseFault::data, {2}));
    poisoned.has_claims = true;
    poisoned.run(3);
    EXPECT_EQ(poisoned.log, "[123]+claims unclaimed [123] [1] [23] [2] rejected [3]");
    Round repeated([](const auto&, bool) -> std::optional<DatabaseFault> { return std::nullopt; });
    repeated.has_claims = true;
    repeated.failing_claims = DatabaseFault::repeatable;
    repeated.run(1);
    EXPECT_EQ(repeated.log, "[1]+claims read_back [1]+claims unclaimed [1]");
    Round locked(failing_with(DatabaseFault::locked, {1}));
    locked.has_claims = true;
    locked.run(2);
    EXPECT_EQ(locked.log, "[12]+claims [1]+claims deferred [2]+claims") << "a claim waits for no lock";
}

TEST(TurnSplitTest, ATurnWithoutMessagesIsGivenUp) {
    Round failing([](const auto&, bool) -> std::optional<DatabaseFault> { return DatabaseFault::data; });
    failing.run(0);
    EXPECT_EQ(failing.log, "[] gave_up");
}

}  // namespace
}  // namespace tasker::engine
