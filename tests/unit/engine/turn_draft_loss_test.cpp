// Deliveries that end without a report: lost sessions, time-outs, batches nobody took, starts that are asked
// for.
#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <string>
#include <vector>

#include "orchestrator/engine/turns/turn_draft.hpp"
#include "tests/unit/engine/messages.hpp"

namespace tasker::engine {
namespace {

using core::BatchState;
using protocol::ReportStatus;
using std::chrono::milliseconds;

class DraftLoss : public ::testing::Test {
  protected:
    // Runs one turn on what is known and takes its result over, as a commit does.
    TurnDraft turn(const std::vector<ports::Inbound>& inbound, bool grace_over = false) {
        auto draft = begin();
        for (const auto& message : inbound) draft.receive(message);
        if (grace_over) draft.end_grace(kBatch);
        return end(std::move(draft));
    }
    TurnDraft begin() {
        DraftContext context;
        context.find_batch = [this](const std::string& uuid) -> const OpenBatch* {
            return uuid == batch.batch_uuid ? &batch : nullptr;
        };
        context.batches_of = [this](const std::string& session) {
            return session == batch.session ? std::vector<std::string>{batch.batch_uuid}
                                            : std::vector<std::string>{};
        };
        context.may_return = [this](const std::string&) { return may_return; };
        context.random = [] { return 0.5; };
        context.now = milliseconds(1000);
        context.reconcile_grace = milliseconds(5000);
        return TurnDraft(std::move(context));
    }
    TurnDraft end(TurnDraft draft) {
        draft.close();
        if (draft.touched().contains(kBatch)) batch = draft.touched().at(kBatch);
        return draft;
    }
    // "1:session_lost 2:session_lost"
    static std::string orphans_of(const TurnDraft& draft) {
        std::string text;
        for (const auto& orphan : draft.input().orphans)
            text += (text.empty() ? "" : " ") + std::to_string(orphan.step_id) + ":" + orphan.reason;
        return text;
    }
    static std::string hand_backs_of(const TurnDraft& draft) {
        std::string text;
        for (const auto& back : draft.input().hand_backs)
            text += (text.empty() ? "" : " ") + std::to_string(back.step_id) + ":" + back.reason;
        return text;
    }
    // "1:broken_promise"
    static std::string broken_in(const TurnDraft& draft) {
        std::string text;
        for (const auto& it : draft.broken()) {
            EXPECT_EQ(it.session, "s1");
            text += (text.empty() ? "" : " ") + std::to_string(it.step_id) + ":" +
                    std::string(core::to_text(it.fault));
        }
        return text;
    }
    static ports::StepRunning running(std::int64_t step_id, std::int64_t age_ms = 5) {
        return {kBatch, step_id, 1, age_ms};
    }
    static ports::Inbound handed_back(std::int64_t step_id) {
        protocol::BatchRejected message;
        message.session = "s1";
        message.batch_id = kBatch;
        message.sequence = 9;
        message.steps = {{step_id, 1, "draining"}};
        return report(message);
    }
    static ports::SessionLost lost(bool drained = false) { return {"s1", "w1", "lease_ended", 2, drained}; }

    OpenBatch batch = batch_of({1, 2});
    bool may_return = false;
};

TEST_F(DraftLoss, AStepThatMustNotBeTriedTwiceWaitsForTheLease) {
    batch.steps[1].waits_for_lease = true;
    may_return = true;
    EXPECT_EQ(orphans_of(turn({lost()})), "1:session_lost");
    EXPECT_EQ(batch.state, BatchState::published) << "step 2 is still expected";
    EXPECT_EQ(orphans_of(turn({lost()})), "");
    may_return = false;
    EXPECT_EQ(orphans_of(turn({lost()})), "2:session_lost");
    EXPECT_EQ(batch.state, BatchState::timed_out);
}

TEST_F(DraftLoss, AReturnWithinTheLeaseLosesNothing) {
    batch.steps[0].waits_for_lease = batch.steps[1].waits_for_lease = true;
    may_return = true;
    turn({lost()});
    const auto draft =
        turn({report(partial(1, 1)), report(partial(2, 2)),
              report(completion({{1, ReportStatus::completed}, {2, ReportStatus::completed}}, 3))});
    EXPECT_EQ(orphans_of(draft), "");
    EXPECT_EQ(batch.state, BatchState::completed);
    EXPECT_EQ(batch.reconciliation, core::ReconciliationStatus::consistent);
}

TEST_F(DraftLoss, AStartThatNobodyGrantedIsAFaultOfItsSessionOnce) {
    batch.steps[0].claim_first = batch.steps[1].claim_first = true;
    batch.steps[1].granted = true;
    EXPECT_EQ(broken_in(turn({running(1), running(2)})), "1:started_without_grant");
    const auto reported = turn({report(partial(1, 1)), report(partial(2, 2))});
    EXPECT_EQ(broken_in(reported), "") << "said before";
    const auto draft =
        turn({report(completion({{1, ReportStatus::completed}, {2, ReportStatus::completed}}, 3))});
    EXPECT_EQ(batch.reconciliation, core::ReconciliationStatus::discrepancy);
    EXPECT_NE(batch.detail.find("started_without_grant"), std::string::npos);
    EXPECT_EQ(reported.alerts().size() + draft.alerts().size(), 1U);
}

TEST_F(DraftLoss, AResultWithoutAnyGrantIsOneToo) {
    batch.steps[0].claim_first = true;
    const auto draft = turn({report(partial(1, 1))});
    EXPECT_EQ(broken_in(draft), "1:started_without_grant");
    EXPECT_EQ(draft.input().messages.at(0).message_class, ports::MessageClass::final)
        << "it counts all the same";
    batch = batch_of({1}, "");
    batch.steps[0].claim_first = true;
    auto plain = partial(1, 1);
    plain.session.reset();
    EXPECT_EQ(turn({report(plain)}).broken().size(), 0U) << "a plain worker cannot ask";
}

TEST_F(DraftLoss, AStepThatRanAndCameBackAsNeverStartedBreaksAPromise) {
    turn({running(1)});
    auto draft = turn({handed_back(1), handed_back(2)});
    EXPECT_EQ(broken_in(draft), "1:broken_promise");
    EXPECT_EQ(hand_backs_of(draft), "1:draining 2:draining");
    EXPECT_NE(batch.detail.find("broken_promise"), std::string::npos);
    batch = batch_of({1});
    turn({running(1)});
    EXPECT_EQ(broken_in(turn({lost(true)})), "1:broken_promise") << "drained is the same promise";
}

TEST_F(DraftLoss, NeverGrantedIsNoProofForAStepThatWasSeenToRun) {
    batch.steps[0].claim_first = batch.steps[1].claim_first = true;
    turn({running(1)});
    const auto draft = turn({lost()});
    EXPECT_EQ(orphans_of(draft), "1:session_lost");
    EXPECT_EQ(hand_backs_of(draft), "2:never_granted");
}

TEST_F(DraftLoss, AnAgeThatCannotBeIsCutBeforeAnybodyComputesWithIt) {
    auto reported = partial(2, 1, ReportStatus::in_progress);
    reported.execution_time_ms = std::numeric_limits<std::int64_t>::max();
    const auto draft = turn({running(1, std::numeric_limits<std::int64_t>::max()), report(reported)});
    ASSERT_EQ(draft.input().running.size(), 2U);
    for (const auto& mark : draft.input().running) EXPECT_LE(mark.age_ms, 10LL * 366 * 24 * 3600 * 1000);
    EXPECT_LT(*batch.steps[0].started_at, milliseconds(0));
}

TEST_F(DraftLoss, WhatALostSessionHadIsOrphanedAndItsBatchTimesOut) {
    const auto draft = turn({lost()});
    EXPECT_EQ(orphans_of(draft), "1:session_lost 2:session_lost");
    EXPECT_EQ(hand_backs_of(draft), "");
    EXPECT_EQ(batch.state, BatchState::timed_out);
    EXPECT_EQ(draft.ended().at(0).steps.size(), 2U) << "a worker that comes back has to be told";
}

TEST_F(DraftLoss, AReportOfTheSameTurnCountsAlthoughItStandsBehindTheLoss) {
    const auto draft = turn({lost(), report(partial(1, 1))});
    EXPECT_EQ(orphans_of(draft), "2:session_lost");
    EXPECT_EQ(draft.input().messages.at(0).message_class, ports::MessageClass::final);
}

TEST_F(DraftLoss, ADrainedGoodbyeProvesThatTheRestWasNeverStarted) {
    const auto draft = turn({report(partial(1, 1)), lost(true)});
    EXPECT_EQ(orphans_of(draft), "");
    EXPECT_EQ(hand_backs_of(draft), "2:drained");
    EXPECT_EQ(batch.state, BatchState::completed);
}

TEST_F(DraftLoss, AStartThatWasNeverGrantedIsProofAndAGrantedOneIsNot) {
    batch.steps[0].claim_first = true;
    batch.steps[1].claim_first = true;
    batch.steps[1].granted = true;
    const auto draft = turn({lost()});
    EXPECT_EQ(hand_backs_of(draft), "1:never_granted");
    EXPECT_EQ(orphans_of(draft), "2:session_lost");
}

TEST_F(DraftLoss, AnotherSessionsLossIsNone) {
    EXPECT_FALSE(turn({ports::SessionLost{"s2", "w", "gone", 1, false}}).input().writes_anything());
}

TEST_F(DraftLoss, ATimeOutEndsOneStepAndItsReportIsStillRecorded) {
    auto draft = begin();
    draft.time_out(kBatch, 1);
    draft = end(std::move(draft));
    EXPECT_EQ(orphans_of(draft), "1:timed_out");
    EXPECT_EQ(batch.state, BatchState::published) << "step 2 is still expected";
    const auto late = turn({report(partial(1, 1))});
    EXPECT_EQ(late.input().messages.at(0).message_class, ports::MessageClass::final) << "the database judges";
    EXPECT_TRUE(batch.steps[0].expected.orphaned);
    auto again = begin();
    again.time_out(kBatch, 1);
    EXPECT_EQ(orphans_of(end(std::move(again))), "") << "over is over";
}

TEST_F(DraftLoss, AnIgnoredBatchIsOrphanedUnlessItShowedLife) {
    EXPECT_EQ(orphans_of(turn({ports::NotAccepted{"s1", kBatch}})), "1:not_accepted 2:not_accepted");
    batch = batch_of({1, 2});
    batch.accepted = true;
    EXPECT_EQ(orphans_of(turn({ports::NotAccepted{"s1", kBatch}})), "");
    batch = batch_of({1, 2});
    EXPECT_EQ(orphans_of(turn({ports::NotAccepted{"s1", kBatch}, report(partial(1, 1))})), "");
    batch = batch_of({1, 2});
    EXPECT_EQ(orphans_of(turn({ports::NotAccepted{"s9", kBatch}})), "") << "not its session";
}

TEST_F(DraftLoss, StepsOfAnIgnoredBatchAreTriedAloneFirst) {
    const auto shared = turn({ports::NotAccepted{"s1", kBatch}});
    for (const auto& orphan : shared.input().orphans) EXPECT_TRUE(orphan.try_alone);
    batch = batch_of({1});
    EXPECT_FALSE(turn({ports::NotAccepted{"s1", kBatch}}).input().orphans.at(0).try_alone);
    batch = batch_of({1, 2});
    EXPECT_FALSE(turn({lost()}).input().orphans.at(0).try_alone);
    batch = batch_of({1, 2});
    batch.steps[0].claim_first = true;
    EXPECT_EQ(hand_backs_of(turn({ports::NotAccepted{"s1", kBatch}})), "1:not_accepted");
}

TEST_F(DraftLoss, StepsThatTheSessionDoesNotKnowAreOrphaned) {
    EXPECT_EQ(orphans_of(turn({ports::StepsAbsent{"s1", kBatch, {2}}})), "2:absent");
    EXPECT_EQ(batch.state, BatchState::published);
}

TEST_F(DraftLoss, AHeldStepIsCalledInFirstAndOrphanedThen) {
    auto draft = turn({ports::HeldTooLong{"s1", kBatch, 1, false}});
    EXPECT_EQ(orphans_of(draft), "");
    ASSERT_EQ(draft.unstarted().size(), 1U);
    EXPECT_EQ(draft.unstarted()[0].steps.at(0).step_id, 1);
    draft = turn({ports::HeldTooLong{"s1", kBatch, 1, true}});
    EXPECT_EQ(orphans_of(draft), "1:held_unstarted");
    batch = batch_of({1});
    batch.steps[0].claim_first = true;
    turn({ports::StartRequested{"s1", kBatch, 1, 1, 1}});
    draft = turn({ports::HeldTooLong{"s1", kBatch, 1, false}});
    EXPECT_TRUE(draft.unstarted().empty()) << "it waits for its grant";
}

TEST_F(DraftLoss, AStepThatMustAskAndNeverDoesIsCalledInAndComesBackUnspent) {
    batch.steps[0].claim_first = true;
    EXPECT_EQ(turn({ports::HeldTooLong{"s1", kBatch, 1, false}}).unstarted().size(), 1U);
    const auto draft = turn({ports::HeldTooLong{"s1", kBatch, 1, true}});
    EXPECT_EQ(orphans_of(draft), "");
    EXPECT_EQ(hand_backs_of(draft), "1:never_granted");
}

TEST_F(DraftLoss, WhatWaitedHereForTheDatabaseProvesNothingAboutItsWorker) {
    auto draft = turn({ports::HeldTooLong{"s1", kBatch, 1, false, milliseconds(-9000)}});
    EXPECT_TRUE(draft.unstarted().empty());
    draft = turn({ports::HeldTooLong{"s1", kBatch, 1, true, milliseconds(900)}});
    EXPECT_EQ(orphans_of(draft), "") << "it was not called in before";
    EXPECT_EQ(draft.unstarted().size(), 1U);
    EXPECT_EQ(orphans_of(turn({ports::HeldTooLong{"s1", kBatch, 1, true, milliseconds(950)}})),
              "1:held_unstarted");
}

TEST_F(DraftLoss, AStepWhoseReportIsWithheldIsOrphanedAlsoWithoutAGrant) {
    batch.steps[1].claim_first = true;
    EXPECT_EQ(orphans_of(turn({ports::StepsAbsent{"s1", kBatch, {1, 2}, true}})),
              "1:not_reported 2:not_reported");
    batch = batch_of({1, 2});
    EXPECT_EQ(orphans_of(turn({ports::StepsAbsent{"s1", kBatch, {1}, true}, report(partial(1, 1))})), "")
        << "it has come after all";
}

TEST_F(DraftLoss, AReportOrAHandBackOfAnotherAttemptLeavesTheStepToBeAccountedFor) {
    auto wrong = partial(1, 1);
    wrong.attempt = 7;
    auto draft = turn({report(wrong)});
    ASSERT_EQ(draft.reopened().size(), 1U);
    EXPECT_EQ(draft.reopened()[0].step_ids, std::vector<std::int64_t>{1});
    protocol::BatchRejected rejection;
    rejection.session = "s1";
    rejection.batch_id = kBatch;
    rejection.sequence = 9;
    rejection.steps = {{1, 7, "draining"}, {2, 1, "draining"}};
    draft = turn({report(rejection)});
    EXPECT_EQ(hand_backs_of(draft), "2:draining");
    ASSERT_EQ(draft.reopened().size(), 1U);
    EXPECT_EQ(draft.reopened()[0].step_ids, std::vector<std::int64_t>{1});
    rejection.steps = {{1, 1, "draining"}};
    draft = turn({ports::Report{rejection, "{}", true}});
    ASSERT_EQ(draft.reopened().size(), 1U) << "refused as too large";
    wrong.attempt = 7;
    wrong.session = "s2";
    EXPECT_TRUE(turn({report(wrong)}).reopened().empty()) << "not its session: it ended nothing there either";
}

TEST_F(DraftLoss, ARunningStepWithAWrongAttemptIsOnTheClockAllTheSame) {
    turn({ports::StepRunning{kBatch, 1, 7, 5}});
    EXPECT_TRUE(batch.steps[0].started_at.has_value());
}

TEST_F(DraftLoss, AStartIsAskedOfTheDatabaseOnceHoweverOftenItIsRepeated) {
    batch.steps[0].claim_first = true;
    const auto draft =
        turn({ports::StartRequested{"s1", kBatch, 1, 1, 1}, ports::StartRequested{"s1", kBatch, 1, 1, 2}});
    ASSERT_EQ(draft.input().starts.size(), 1U);
    EXPECT_EQ(draft.starts().at(0).n, 2);
    EXPECT_TRUE(draft.refused_starts().empty());
}

TEST_F(DraftLoss, AStartIsRefusedWithoutTheDatabaseWhenNothingOfItIsOut) {
    auto draft = turn({ports::StartRequested{"s1", kBatch, 9, 1, 1}});
    EXPECT_EQ(draft.refused_starts().at(0).refusal, "unknown_step");
    draft = turn({ports::StartRequested{"s1", kBatch, 1, 7, 1}});
    EXPECT_EQ(draft.refused_starts().at(0).refusal, "ended") << "another attempt";
    draft = turn({ports::StartRequested{"s2", kBatch, 1, 1, 1}});
    EXPECT_EQ(draft.refused_starts().at(0).refusal, "unknown_step") << "another session";
    turn({lost()});
    draft = turn({ports::StartRequested{"s1", kBatch, 1, 1, 1}});
    EXPECT_EQ(draft.refused_starts().at(0).refusal, "ended");
    EXPECT_TRUE(draft.input().starts.empty());
}

TEST_F(DraftLoss, WhatALostSessionLeftOutIsStoredWithoutAnAlert) {
    turn({lost()});
    const auto quiet = turn({}, true);
    ASSERT_EQ(quiet.input().batches.size(), 1U);
    EXPECT_EQ(quiet.input().batches[0].reconciliation, core::ReconciliationStatus::discrepancy);
    EXPECT_TRUE(quiet.alerts().empty());
    EXPECT_NE(quiet.input().batches[0].detail_json.find(R"("explained_by":"session_lost")"),
              std::string::npos)
        << quiet.input().batches[0].detail_json;
}

TEST_F(DraftLoss, ACompletionThatNeverCameIsAnAlert) {
    turn({report(partial(1, 1)), report(partial(2, 2))});
    const auto loud = turn({}, true);
    EXPECT_EQ(loud.alerts(), std::vector<std::string>{kBatch});
}

TEST_F(DraftLoss, ADifferentResultOfAnOrphanIsAConflictEvenWithTheSameStatus) {
    turn({report(partial(1, 1)), report(partial(2, 2))});
    auto other = partial(1, 1);
    other.output_json = R"({"ok":false})";
    const auto draft = turn({report(other)});
    EXPECT_TRUE(batch.steps[0].expected.conflicting_report);
    EXPECT_EQ(draft.input().messages.at(0).message_class, ports::MessageClass::duplicate);
}

}  // namespace
}  // namespace tasker::engine
