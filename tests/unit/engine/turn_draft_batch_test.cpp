// What the messages of one turn come to for their batch: state, hand-backs, reconciliation.
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "orchestrator/engine/turns/turn_draft.hpp"
#include "tests/unit/engine/messages.hpp"

namespace tasker::engine {
namespace {

using core::BatchState;
using core::ReconciliationStatus;
using protocol::ReportStatus;
using std::chrono::milliseconds;

class DraftBatch : public ::testing::Test {
  protected:
    // Runs one turn on what is known and takes its result over, as a commit does.
    ports::TurnInput turn(const std::vector<ports::Inbound>& inbound, bool grace_over = false) {
        DraftContext context;
        context.find_batch = [this](const std::string& uuid) -> const OpenBatch* {
            return uuid == batch.batch_uuid ? &batch : nullptr;
        };
        context.random = [] { return 0.5; };
        context.now = milliseconds(1000);
        context.reconcile_grace = milliseconds(5000);
        TurnDraft draft(std::move(context));
        for (const auto& message : inbound) draft.receive(message);
        if (grace_over) draft.end_grace(kBatch);
        draft.close();
        if (draft.touched().contains(kBatch)) batch = draft.touched().at(kBatch);
        acks = draft.acks();
        return draft.input();
    }
    // "published>completed 2 partials 1 completion consistent", or "nothing".
    static std::string change_of(const ports::TurnInput& input) {
        if (input.batches.empty()) return "nothing";
        const auto& change = input.batches.at(0);
        std::string text = std::string(core::to_text(change.from)) + ">" +
                           std::string(core::to_text(change.to)) + " " + std::to_string(change.transitions) +
                           " partials " + std::to_string(change.partials);
        if (change.completion) text += " completion";
        if (change.reconciliation) text += " " + std::string(core::to_text(*change.reconciliation));
        return text;
    }

    OpenBatch batch = batch_of({1, 2});
    std::vector<ports::AckList> acks;
};

TEST_F(DraftBatch, PartialsThenCompletionEndItConsistent) {
    EXPECT_EQ(change_of(turn({report(partial(1, 1))})), "published>executing 1 partials 1");
    EXPECT_EQ(change_of(turn({report(partial(2, 2))})), "executing>completed 1 partials 1");
    EXPECT_EQ(batch.grace_ends, milliseconds(6000)) << "the completion is waited for";
    EXPECT_FALSE(batch.is_over());
    const auto done = completion({{1, ReportStatus::completed}, {2, ReportStatus::completed}}, 3);
    EXPECT_EQ(change_of(turn({report(done)})), "completed>completed 0 partials 0 completion consistent");
    EXPECT_TRUE(batch.is_over());
    EXPECT_FALSE(batch.grace_ends);
}

TEST_F(DraftBatch, EverythingInOneTurnPassesThroughExecuting) {
    const auto done = completion({{1, ReportStatus::completed}, {2, ReportStatus::error}}, 3);
    EXPECT_EQ(
        change_of(turn({report(partial(1, 1)), report(partial(2, 2, ReportStatus::error)), report(done)})),
        "published>partially_failed 2 partials 2 completion consistent");
    EXPECT_TRUE(batch.is_over());
}

TEST_F(DraftBatch, CompletionBeforeItsPartialsWaitsForThem) {
    const auto done = completion({{1, ReportStatus::completed}, {2, ReportStatus::completed}}, 3);
    EXPECT_EQ(change_of(turn({report(done)})), "published>executing 1 partials 0 completion");
    EXPECT_EQ(batch.grace_ends, milliseconds(6000));
    EXPECT_EQ(change_of(turn({report(partial(1, 1))})), "executing>executing 0 partials 1");
    EXPECT_EQ(change_of(turn({report(partial(2, 2))})), "executing>completed 1 partials 1 consistent");
    EXPECT_TRUE(batch.is_over());
}

TEST_F(DraftBatch, GraceThatEndsTurnsWhatIsMissingIntoADiscrepancyAndLaterArrivalsUpdateIt) {
    const auto done = completion({{1, ReportStatus::completed}, {2, ReportStatus::completed}}, 3);
    turn({report(done)});
    auto input = turn({}, true);
    EXPECT_EQ(change_of(input), "executing>executing 0 partials 0 discrepancy");
    EXPECT_EQ(input.batches[0].detail_json,
              R"({"discrepancies":[{"detail":"no partial result came","kind":"missing_partial","step_id":1},)"
              R"({"detail":"no partial result came","kind":"missing_partial","step_id":2}]})");
    EXPECT_FALSE(batch.grace_ends);
    // One of the two comes after all: still a discrepancy, but a smaller one.
    input = turn({report(partial(1, 1))});
    EXPECT_EQ(change_of(input), "executing>executing 0 partials 1 discrepancy");
    EXPECT_EQ(
        input.batches[0].detail_json,
        R"({"discrepancies":[{"detail":"no partial result came","kind":"missing_partial","step_id":2}]})");
    EXPECT_EQ(change_of(turn({report(partial(1, 1))})), "nothing") << "sent again, nothing new";
    input = turn({report(partial(2, 2))});
    EXPECT_EQ(change_of(input), "executing>completed 1 partials 1 consistent");
    EXPECT_EQ(input.batches[0].detail_json, R"({"discrepancies":[]})");
}

TEST_F(DraftBatch, AContradictionIsStoredAtOnceAndWhatIsMissingIsStillWaitedFor) {
    turn({report(partial(1, 1))});
    const auto lying = completion({{1, ReportStatus::failed}, {2, ReportStatus::completed}}, 3);
    const auto input = turn({report(lying)});
    EXPECT_EQ(change_of(input), "executing>executing 0 partials 0 completion discrepancy");
    EXPECT_EQ(input.batches[0].detail_json.find("missing"), std::string::npos)
        << input.batches[0].detail_json;
    EXPECT_EQ(batch.grace_ends, milliseconds(6000));
}

TEST_F(DraftBatch, ADifferentResultAfterTheVerdictTurnsItIntoADiscrepancy) {
    const auto done = completion({{1, ReportStatus::completed}, {2, ReportStatus::completed}}, 3);
    turn({report(partial(1, 1)), report(partial(2, 2)), report(done)});
    ASSERT_TRUE(batch.is_over());
    const auto input = turn({report(partial(2, 4, ReportStatus::failed))});
    EXPECT_EQ(change_of(input), "completed>completed 0 partials 0 discrepancy");
    EXPECT_NE(input.batches[0].detail_json.find("duplicate_conflict"), std::string::npos);
}

TEST_F(DraftBatch, ResentReportsOfABatchThatIsOverWriteNothingToIt) {
    const auto done = completion({{1, ReportStatus::completed}, {2, ReportStatus::completed}}, 3);
    turn({report(partial(1, 1)), report(partial(2, 2)), report(done)});
    EXPECT_EQ(change_of(turn({report(partial(1, 1)), report(partial(2, 2))})), "nothing");
    ASSERT_EQ(acks.size(), 1U);
    EXPECT_EQ(acks[0].batches.at(0).sequences, (std::vector<std::int64_t>{1, 2}));
}

TEST_F(DraftBatch, RejectedStepsAreHandedBackAndLeaveTheExpectation) {
    protocol::BatchRejected rejection;
    rejection.session = "s1";
    rejection.batch_id = kBatch;
    rejection.sequence = 1;
    rejection.steps = {{1, 1, "draining"}};
    auto input = turn({report(rejection)});
    ASSERT_EQ(input.hand_backs.size(), 1U);
    EXPECT_EQ(input.hand_backs[0].step_id, 1);
    EXPECT_EQ(input.hand_backs[0].task_id, 7);
    EXPECT_EQ(input.hand_backs[0].attempt, 1);
    EXPECT_EQ(input.hand_backs[0].reason, "draining");
    ASSERT_EQ(acks.size(), 1U);
    EXPECT_EQ(acks[0].batches.at(0).sequences, std::vector<std::int64_t>{1});
    // The other step finishes the batch; the completion counts it alone.
    const auto done = completion({{2, ReportStatus::completed}}, 3);
    EXPECT_EQ(change_of(turn({report(partial(2, 2)), report(done)})),
              "executing>completed 1 partials 1 completion consistent");
    // The same rejection again is acknowledged again and does nothing.
    input = turn({report(rejection)});
    EXPECT_TRUE(input.hand_backs.empty());
    EXPECT_EQ(acks.at(0).batches.at(0).sequences, std::vector<std::int64_t>{1});
}

TEST_F(DraftBatch, ASnoozedStepLeavesTheExpectationAndBreaksNoPromise) {
    batch.steps[0].max_snoozes = 48;
    auto hint = partial(1, 1, ReportStatus::in_progress);
    hint.execution_time_ms = 300;
    turn({report(hint)});
    protocol::BatchRejected rejection;
    rejection.session = "s1";
    rejection.batch_id = kBatch;
    rejection.sequence = 2;
    rejection.steps = {{1, 1, "snoozed", 2.5, "the bank is closed"}};
    const auto input = turn({report(rejection)});
    EXPECT_TRUE(input.hand_backs.empty());
    ASSERT_EQ(input.snoozes.size(), 1U);
    EXPECT_EQ(input.snoozes[0].step_id, 1);
    EXPECT_EQ(input.snoozes[0].attempt, 1);
    EXPECT_DOUBLE_EQ(input.snoozes[0].wait_seconds, 2.5);
    EXPECT_EQ(input.snoozes[0].max_snoozes, 48);
    EXPECT_EQ(input.snoozes[0].message, "the bank is closed");
    EXPECT_FALSE(batch.steps[0].expected.broken_promise);
    const auto done = completion({{2, ReportStatus::completed}}, 4);
    EXPECT_EQ(change_of(turn({report(partial(2, 3)), report(done)})),
              "executing>completed 1 partials 1 completion consistent");
    EXPECT_TRUE(turn({report(rejection)}).snoozes.empty()) << "sent again because an ack was lost";
}

TEST_F(DraftBatch, ASnoozeWithoutATimeWaitsForNothingAndOneWithoutAGrantIsAFault) {
    batch.steps[0].claim_first = true;
    protocol::BatchRejected rejection;
    rejection.session = "s1";
    rejection.batch_id = kBatch;
    rejection.sequence = 1;
    rejection.steps = {{1, 1, "snoozed"}};
    const auto input = turn({report(rejection)});
    ASSERT_EQ(input.snoozes.size(), 1U);
    EXPECT_DOUBLE_EQ(input.snoozes[0].wait_seconds, 0);
    EXPECT_TRUE(batch.steps[0].expected.started_without_grant);
}

TEST_F(DraftBatch, AReportAfterASnoozeInOneTurnIsWhatCounts) {
    protocol::BatchRejected rejection;
    rejection.session = "s1";
    rejection.batch_id = kBatch;
    rejection.sequence = 1;
    rejection.steps = {{1, 1, "snoozed", 60.0, {}}};
    EXPECT_TRUE(turn({report(rejection), report(partial(1, 2))}).snoozes.empty());
}

TEST_F(DraftBatch, AReportAfterAHandBackInOneTurnIsWhatCounts) {
    protocol::BatchRejected rejection;
    rejection.session = "s1";
    rejection.batch_id = kBatch;
    rejection.sequence = 1;
    rejection.steps = {{1, 1, "draining"}, {2, 1, "draining"}};
    const auto input = turn({report(rejection), report(partial(1, 2))});
    ASSERT_EQ(input.hand_backs.size(), 1U);
    EXPECT_EQ(input.hand_backs[0].step_id, 2);
    ASSERT_EQ(input.messages.size(), 1U);
    EXPECT_EQ(input.messages[0].message_class, ports::MessageClass::final);
    EXPECT_EQ(change_of(input), "published>completed 2 partials 1") << "as the database has it";
}

TEST_F(DraftBatch, RejectionThatIsTooLargeEndsAStepOnlyIfItWasAlone) {
    const protocol::BatchRejected both{"s1", kBatch, 1, {{1, 1, "too_large"}, {2, 1, "too_large"}}};
    const auto shared = turn({report(both)});
    ASSERT_EQ(shared.hand_backs.size(), 2U);
    EXPECT_EQ(shared.hand_backs[0].reason, "batch_too_large") << "its neighbour may be at fault";
    EXPECT_EQ(shared.hand_backs[1].reason, "batch_too_large");
    batch = batch_of({1});
    const protocol::BatchRejected rejection{"s1", kBatch, 2, {{1, 1, "too_large"}}};
    EXPECT_EQ(turn({report(rejection)}).hand_backs.at(0).reason, "request_too_large");
}

TEST_F(DraftBatch, RejectionByAStrangerOfAnOldAttemptOrOfAReportedStepHandsNothingBack) {
    EXPECT_TRUE(
        turn({report(protocol::BatchRejected{"s2", kBatch, 1, {{1, 1, "draining"}}})}).hand_backs.empty());
    ASSERT_EQ(acks.size(), 1U);
    EXPECT_EQ(acks[0].rejected.at(0).code, "wrong_session");
    EXPECT_TRUE(
        turn({report(protocol::BatchRejected{"s1", kBatch, 2, {{1, 2, "draining"}}})}).hand_backs.empty());
    turn({report(partial(1, 3))});
    EXPECT_TRUE(
        turn({report(protocol::BatchRejected{"s1", kBatch, 4, {{1, 1, "draining"}}})}).hand_backs.empty());
    turn({report(protocol::BatchRejected{"s1", "no batch", 5, {{1, 1, "draining"}}})});
    EXPECT_EQ(acks.at(0).rejected.at(0).code, "unknown_batch");
}

TEST_F(DraftBatch, UndeliveredHandsEveryStepBackAndCancelsTheBatch) {
    const auto input = turn({ports::Undelivered{"s1", kBatch}});
    EXPECT_EQ(input.hand_backs.size(), 2U);
    EXPECT_EQ(input.hand_backs[0].reason, "undelivered");
    EXPECT_EQ(change_of(input), "published>cancelled 1 partials 0 consistent");
    EXPECT_TRUE(batch.is_over());
}

TEST_F(DraftBatch, UndeliveredToAnotherSessionSaysNothing) {
    EXPECT_TRUE(turn({ports::Undelivered{"s2", kBatch}}).hand_backs.empty());
    EXPECT_EQ(batch.state, BatchState::published);
}

TEST_F(DraftBatch, AcceptedIsRememberedAndWrittenWithTheNextSignOfLife) {
    EXPECT_FALSE(turn({ports::Accepted{"s1", kBatch}}).writes_anything());
    EXPECT_TRUE(batch.accepted);
    batch.accepted = false;
    turn({ports::Accepted{"s2", kBatch}});
    EXPECT_FALSE(batch.accepted);
}

}  // namespace
}  // namespace tasker::engine
