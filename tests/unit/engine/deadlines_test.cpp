// What falls due by the clock, without a database, a mailbox or a thread.
#include "orchestrator/engine/turns/deadlines.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/unit/engine/messages.hpp"

namespace tasker::engine {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class DeadlinesTest : public ::testing::Test {
  protected:
    DeadlinesTest() {
        options.timers.timeout_grace = seconds(5);
        options.timers.suspect_after = seconds(3);
        options.timers.lease = seconds(8);
        options.delivery.result_timeout = seconds(3600);
        deadlines.restart_full_scan(kNow);
    }

    /// A batch whose first step runs since `started`, with 30 s for each step.
    static OpenBatch running(milliseconds started, const std::string& uuid = kBatch) {
        auto batch = batch_of({1, 2}, "s1", uuid);
        for (auto& step : batch.steps) step.timeout_ms = 30'000;
        batch.steps[0].started = true;
        batch.steps[0].started_at = started;
        return batch;
    }
    void put(OpenBatch batch) { book.put(std::move(batch)); }
    std::vector<TimedStep> timed_out(milliseconds now) { return deadlines.take_due(now, book).time_outs; }
    std::vector<std::string> graces(milliseconds now) { return deadlines.take_due(now, book).graces; }

    static constexpr milliseconds kNow{1'000'000};
    ListenerOptions options;
    Deadlines deadlines{options};
    BatchBook book;
};

TEST_F(DeadlinesTest, AFreshOneWantsAFullScanAtOnce) {
    Deadlines fresh(options);
    EXPECT_EQ(fresh.next(), milliseconds(0));
    EXPECT_TRUE(fresh.take_due(kNow, book).full_scan);
    EXPECT_EQ(fresh.next(), kNow + options.full_scan_every);
}

TEST_F(DeadlinesTest, AFullScanComesBackAndNothingElseIsDue) {
    const auto first = kNow + options.full_scan_every;
    EXPECT_EQ(deadlines.next(), first);
    EXPECT_FALSE(deadlines.take_due(first - milliseconds(1), book).full_scan);
    const auto due = deadlines.take_due(first, book);
    EXPECT_TRUE(due.full_scan);
    EXPECT_FALSE(due.retries || due.locked_keys);
    EXPECT_TRUE(due.graces.empty() && due.time_outs.empty());
    EXPECT_EQ(deadlines.next(), first + options.full_scan_every);
}

TEST_F(DeadlinesTest, TheEarliestRetryCountsAndIsDueOnce) {
    deadlines.set_next_retry(kNow + seconds(2));
    deadlines.watch_retry(kNow + seconds(3));
    EXPECT_EQ(deadlines.next(), kNow + seconds(2));
    deadlines.watch_retry(kNow + seconds(1));
    EXPECT_EQ(deadlines.next(), kNow + seconds(1));
    EXPECT_TRUE(deadlines.take_due(kNow + seconds(1), book).retries);
    EXPECT_FALSE(deadlines.take_due(kNow + seconds(4), book).retries);
    deadlines.watch_retry(kNow + seconds(4));
    deadlines.set_next_retry(std::nullopt);
    EXPECT_EQ(deadlines.next(), kNow + options.full_scan_every) << "the database knows of none";
}

TEST_F(DeadlinesTest, LockedKeysAreReleasedOnce) {
    deadlines.watch_locked_keys(kNow + milliseconds(20));
    EXPECT_EQ(deadlines.next(), kNow + milliseconds(20));
    EXPECT_FALSE(deadlines.take_due(kNow, book).locked_keys);
    EXPECT_TRUE(deadlines.take_due(kNow + milliseconds(20), book).locked_keys);
    EXPECT_FALSE(deadlines.take_due(kNow + milliseconds(40), book).locked_keys);
}

TEST_F(DeadlinesTest, OnlyStepsThatRunAreTimedAndEachOnce) {
    auto batch = running(kNow);
    deadlines.watch_started(batch);
    deadlines.watch_started(batch);
    EXPECT_EQ(deadlines.time_outs(), 1U);
    put(batch);
    EXPECT_TRUE(timed_out(kNow + seconds(35) - milliseconds(1)).empty());
    EXPECT_EQ(timed_out(kNow + seconds(35)), (std::vector<TimedStep>{{kBatch, 1}}));
    EXPECT_TRUE(timed_out(kNow + seconds(36)).empty());
}

TEST_F(DeadlinesTest, NothingIsTimedInABatchThatHasEnded) {
    auto batch = running(kNow);
    batch.state = core::BatchState::completed;
    deadlines.watch_started(batch);
    EXPECT_EQ(deadlines.time_outs(), 0U);
}

TEST_F(DeadlinesTest, ATimeOutOfABatchThatIsForgottenIsDropped) {
    auto batch = running(kNow);
    deadlines.watch_started(batch);  // and never put into the book
    EXPECT_TRUE(timed_out(kNow + seconds(35)).empty());
    EXPECT_EQ(deadlines.time_outs(), 0U);
}

TEST_F(DeadlinesTest, ATimeOutOverdueByMuchMovesByALease) {
    auto batch = running(kNow);
    deadlines.watch_started(batch);
    put(batch);
    const auto late = kNow + seconds(35) + options.timers.suspect_after + milliseconds(1);
    EXPECT_TRUE(timed_out(late).empty()) << "this process slept: the report may wait unread";
    EXPECT_TRUE(timed_out(late + options.timers.lease - milliseconds(1)).empty());
    EXPECT_EQ(timed_out(late + options.timers.lease).size(), 1U);
}

TEST_F(DeadlinesTest, APlainWorkersStepsAreTimedOneAfterTheOther) {
    auto batch = batch_of({1, 2}, "");
    for (auto& step : batch.steps) step.timeout_ms = 30'000;
    deadlines.watch_plain(batch, kNow);
    put(batch);
    EXPECT_EQ(timed_out(kNow + seconds(35)), (std::vector<TimedStep>{{kBatch, 1}}));
    EXPECT_TRUE(timed_out(kNow + seconds(64)).empty());
    EXPECT_EQ(timed_out(kNow + seconds(65)), (std::vector<TimedStep>{{kBatch, 2}}));
}

TEST_F(DeadlinesTest, APlainBatchHasItsResultTimeoutAltogether) {
    options.delivery.result_timeout = seconds(40);
    auto batch = batch_of({1, 2}, "");
    for (auto& step : batch.steps) step.timeout_ms = 30'000;
    deadlines.watch_plain(batch, kNow);
    put(batch);
    EXPECT_EQ(timed_out(kNow + seconds(35)).size(), 1U);
    EXPECT_EQ(timed_out(kNow + seconds(40)).size(), 1U);
}

TEST_F(DeadlinesTest, ABatchOfASessionIsNotTimedFromItsPublishing) {
    auto batch = batch_of({1, 2});
    deadlines.watch_plain(batch, kNow);
    EXPECT_EQ(deadlines.time_outs(), 0U);
}

TEST_F(DeadlinesTest, AStepReadBackKeepsItsTimeButHasALeaseToReport) {
    auto early = batch_of({1}, "s1", "early");
    auto late = batch_of({2}, "s1", "late");
    ports::StoredBatch stored;
    stored.steps.resize(1);
    for (auto* batch : {&early, &late}) {
        batch->steps[0].timeout_ms = 30'000;
        batch->steps[0].started = true;
    }
    stored.steps[0].started_ms_ago = 1'000;
    deadlines.resume(early, stored, kNow);
    stored.steps[0].started_ms_ago = 34'000;
    deadlines.resume(late, stored, kNow);
    put(early);
    put(late);
    EXPECT_EQ(deadlines.time_outs(), 2U);
    EXPECT_TRUE(timed_out(kNow + seconds(8) - milliseconds(1)).empty()) << "one second of its time was left";
    EXPECT_EQ(timed_out(kNow + seconds(8)), (std::vector<TimedStep>{{"late", 2}}));
    EXPECT_EQ(timed_out(kNow + seconds(34)), (std::vector<TimedStep>{{"early", 1}}));
}

TEST_F(DeadlinesTest, AGraceIsDueOnceHoweverOftenItIsWatched) {
    auto batch = batch_of({1});
    deadlines.watch_grace(batch);
    EXPECT_EQ(deadlines.next(), kNow + options.full_scan_every) << "it has none";
    batch.grace_ends = kNow + seconds(1);
    deadlines.watch_grace(batch);
    deadlines.watch_grace(batch);
    put(batch);
    EXPECT_EQ(deadlines.next(), kNow + seconds(1));
    EXPECT_EQ(graces(kNow + seconds(1)), (std::vector<std::string>{kBatch}));
    EXPECT_TRUE(graces(kNow + seconds(2)).empty());
}

TEST_F(DeadlinesTest, AGraceThatWasMovedOrEndedIsNotDueAtItsOldTime) {
    auto moved = batch_of({1}, "s1", "moved");
    auto ended = batch_of({2}, "s1", "ended");
    for (auto* batch : {&moved, &ended}) {
        batch->grace_ends = kNow + seconds(1);
        deadlines.watch_grace(*batch);
    }
    moved.grace_ends = kNow + seconds(3);
    deadlines.watch_grace(moved);
    ended.grace_ends.reset();
    put(moved);
    put(ended);
    EXPECT_TRUE(graces(kNow + seconds(1)).empty());
    EXPECT_EQ(graces(kNow + seconds(3)), (std::vector<std::string>{"moved"}));
}

TEST_F(DeadlinesTest, BatchesThatAreReadBackAreWatchedAnew) {
    auto batch = running(kNow);
    batch.grace_ends = kNow + seconds(1);
    deadlines.watch_started(batch);
    deadlines.watch_grace(batch);
    put(batch);
    deadlines.forget_batches();
    EXPECT_TRUE(graces(kNow + seconds(1)).empty());
    EXPECT_EQ(deadlines.time_outs(), 0U);
}

TEST_F(DeadlinesTest, TimeOutsOfEndedStepsDoNotPileUp) {
    std::size_t most = 0;
    for (std::size_t i = 0; i < 3 * kTimeOutsKept; ++i) {
        auto batch = running(kNow, "b" + std::to_string(i));
        deadlines.watch_started(batch);
        // All but ten report in time.
        if (i >= 10) batch.steps[0].expected.reported = core::ReportStatus::completed;
        put(std::move(batch));
        deadlines.compact(book);
        most = std::max(most, deadlines.time_outs());
    }
    EXPECT_LE(most, kTimeOutsKept);
    const auto due = timed_out(kNow + seconds(35));
    for (std::size_t i = 0; i < 10; ++i) {
        const TimedStep step{"b" + std::to_string(i), 1};
        EXPECT_NE(std::find(due.begin(), due.end(), step), due.end()) << "one that runs was dropped";
    }
}

}  // namespace
}  // namespace tasker::engine
