// What the messages of one turn mean: classes, acknowledgements, refusals.
#include "orchestrator/engine/turns/turn_draft.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "protocol/cpp/encode.hpp"
#include "tests/unit/engine/messages.hpp"

namespace tasker::engine {
namespace {

using ports::MessageClass;
using protocol::ReportStatus;

class Draft : public ::testing::Test {
  protected:
    void know(OpenBatch batch) { known[batch.batch_uuid] = std::move(batch); }

    TurnDraft draft() {
        DraftContext context;
        context.find_batch = [this](const std::string& uuid) -> const OpenBatch* {
            const auto found = known.find(uuid);
            return found == known.end() ? nullptr : &found->second;
        };
        context.random = [] { return 0.5; };
        context.received_at = "2026-01-01T00:00:00Z";
        context.output_limits = {100, 60};
        return TurnDraft(std::move(context));
    }
    // "to: acked batch/1,2 refused 3=code", one line per address.
    static std::string acks_of(const TurnDraft& draft) {
        std::string text;
        for (const auto& list : draft.acks()) {
            text += list.session + ":";
            for (const auto& batch : list.batches) {
                for (const auto sequence : batch.sequences) text += " +" + std::to_string(sequence);
            }
            for (const auto& refusal : list.rejected) {
                text += " -" + std::to_string(refusal.sequence) + "=" + refusal.code;
            }
            text += "\n";
        }
        return text;
    }
    static std::string classes_of(TurnDraft& draft) {
        const std::map<MessageClass, char> letters = {{MessageClass::final, 'F'},
                                                      {MessageClass::duplicate, 'D'},
                                                      {MessageClass::noted, 'N'},
                                                      {MessageClass::unknown, 'U'},
                                                      {MessageClass::stale, 'S'}};
        std::string text;
        for (const auto& message : draft.input().messages) text += letters.at(message.message_class);
        return text;
    }

    std::map<std::string, OpenBatch> known;
};

TEST_F(Draft, FirstFinalReportCarriesEverythingTheDatabaseNeeds) {
    know(batch_of({1, 2}));
    auto turn = draft();
    auto message = partial(2, 5);
    message.worker_id = "w";
    turn.receive(report(message, R"({"as":"it came"})"));
    turn.close();
    ASSERT_EQ(turn.input().messages.size(), 1U);
    const auto& record = turn.input().messages[0];
    EXPECT_EQ(record.message_class, MessageClass::final);
    EXPECT_EQ(record.batch_id, 100);
    EXPECT_EQ(record.batch_step_id, 20);
    EXPECT_EQ(record.step_id, 2);
    EXPECT_EQ(record.task_id, 7);
    EXPECT_EQ(record.attempt, 1);
    EXPECT_FALSE(record.completion);
    EXPECT_EQ(record.status, "completed");
    EXPECT_EQ(record.worker_id, "w");
    EXPECT_EQ(record.session, "s1");
    EXPECT_EQ(record.sequence, 5);
    EXPECT_EQ(record.execution_time_ms, 12);
    EXPECT_EQ(record.raw, R"({"as":"it came"})");
    EXPECT_EQ(record.output_json, R"({"ok":true})");
    EXPECT_EQ(acks_of(turn), "s1: +5\n");
}

TEST_F(Draft, SecondFinalReportIsADuplicateAlsoWithinOneTurn) {
    know(batch_of({1}));
    auto turn = draft();
    turn.receive(report(partial(1, 1)));
    turn.receive(report(partial(1, 1)));
    turn.close();
    EXPECT_EQ(classes_of(turn), "FD");
    EXPECT_FALSE(turn.touched().at(kBatch).steps[0].expected.conflicting_report);
    EXPECT_EQ(acks_of(turn), "s1: +1 +1\n") << "what is sent again is acknowledged again";
    EXPECT_EQ(turn.input().batches.at(0).partials, 1);
}

TEST_F(Draft, TwoDifferentResultsForOneAttemptAreAConflict) {
    know(batch_of({1, 2}));
    auto turn = draft();
    turn.receive(report(partial(1, 1)));
    turn.receive(report(partial(1, 2, ReportStatus::failed)));
    turn.receive(report(partial(2, 3)));
    auto other = partial(2, 4);
    other.output_json = R"({"ok":"differently"})";
    turn.receive(report(other));
    turn.close();
    EXPECT_EQ(classes_of(turn), "FDFD");
    EXPECT_TRUE(turn.touched().at(kBatch).steps[0].expected.conflicting_report);
    EXPECT_TRUE(turn.touched().at(kBatch).steps[1].expected.conflicting_report);
    EXPECT_EQ(turn.touched().at(kBatch).steps[0].expected.reported, core::ReportStatus::completed)
        << "the first counts";
}

TEST_F(Draft, DuplicateAfterARestartIsAConflictOnlyWhenTheStatusDiffers) {
    auto batch = batch_of({1, 2});
    for (auto& step : batch.steps) step.expected.reported = core::ReportStatus::completed;
    know(batch);
    auto turn = draft();
    turn.receive(report(partial(1, 1)));
    turn.receive(report(partial(2, 2, ReportStatus::error)));
    EXPECT_EQ(classes_of(turn), "DD");
    EXPECT_FALSE(turn.touched().at(kBatch).steps[0].expected.conflicting_report);
    EXPECT_TRUE(turn.touched().at(kBatch).steps[1].expected.conflicting_report);
}

TEST_F(Draft, WrongSessionUnknownStepAndWrongAttemptAreRecordedRefusedAndMoveNothing) {
    know(batch_of({1}));
    auto turn = draft();
    auto stranger = partial(1, 1);
    stranger.session = "s2";
    auto anonymous = partial(1, 2);
    anonymous.session.reset();
    auto other_step = partial(9, 3);
    auto other_attempt = partial(1, 4);
    other_attempt.attempt = 2;
    for (const auto& message : {stranger, anonymous, other_step, other_attempt})
        turn.receive(report(message));
    turn.close();
    EXPECT_EQ(classes_of(turn), "UUUS");
    for (const auto& record : turn.input().messages)
        EXPECT_EQ(record.step_id, 0) << "judged by the database, else";
    EXPECT_EQ(turn.input().messages[3].batch_step_id, 10);
    EXPECT_TRUE(turn.input().batches.empty());
    EXPECT_FALSE(turn.touched().at(kBatch).steps[0].expected.reported);
    EXPECT_EQ(acks_of(turn), "s1: -3=unknown_step -4=wrong_attempt\ns2: -1=wrong_session\n");
}

TEST_F(Draft, ReportsOfAnUnknownBatchAreSetAsideWithTheirBytes) {
    auto turn = draft();
    turn.receive(report(partial(1, 1), "partial's bytes"));
    turn.receive(report(completion({{1, ReportStatus::completed}}, 2), "completion's bytes"));
    turn.close();
    EXPECT_TRUE(turn.input().messages.empty());
    ASSERT_EQ(turn.rejected().size(), 2U);
    EXPECT_EQ(turn.rejected()[0].code, "unknown_batch");
    EXPECT_EQ(turn.rejected()[0].raw, "partial's bytes");
    EXPECT_NE(turn.rejected()[0].reason.find(kBatch), std::string::npos);
    EXPECT_EQ(turn.rejected()[1].raw, "completion's bytes");
    EXPECT_EQ(acks_of(turn), "s1: -1=unknown_batch -2=unknown_batch\n");
}

TEST_F(Draft, AnswersGoToWhoSentTheMessageAndTheSessionDecidesWhoseItIs) {
    know(batch_of({1, 2}));
    auto turn = draft();
    auto replayed = partial(1, 1);
    replayed.sent_by = "s9";
    auto wrong = partial(2, 2);
    wrong.session = "s3";
    wrong.sent_by = "s9";
    auto done = completion({{1, ReportStatus::completed}}, 3);
    done.sent_by = "s9";
    turn.receive(report(replayed));
    turn.receive(report(wrong));
    turn.receive(report(done));
    turn.close();
    EXPECT_EQ(classes_of(turn), "FUN");
    EXPECT_EQ(acks_of(turn), "s9: +1 +3 -2=wrong_session\n");
}

TEST_F(Draft, PlainModeNeedsNoSessionAttemptOrAck) {
    know(batch_of({1}, ""));
    auto turn = draft();
    auto message = partial(1, 0);
    message.session.reset();
    message.attempt.reset();
    turn.receive(report(message));
    EXPECT_EQ(classes_of(turn), "F");
    EXPECT_EQ(turn.input().messages[0].attempt, 1) << "the batch's own";
    // A session that reports for the plain worker's batch is not the plain worker.
    turn.receive(report(partial(1, 2)));
    turn.close();
    EXPECT_EQ(classes_of(turn), "FU");
    EXPECT_EQ(acks_of(turn), "s1: -2=wrong_session\n");
}

TEST_F(Draft, InProgressIsNotedAndMarksTheStartOnce) {
    know(batch_of({1}));
    auto turn = draft();
    turn.receive(report(partial(1, 1, ReportStatus::in_progress)));
    turn.receive(ports::StepRunning{kBatch, 1, 1, 900});
    turn.receive(report(partial(1, 2, ReportStatus::in_progress)));
    turn.close();
    EXPECT_EQ(classes_of(turn), "NN");
    ASSERT_EQ(turn.input().running.size(), 1U);
    EXPECT_EQ(turn.input().running[0].step_id, 1);
    EXPECT_EQ(turn.input().running[0].age_ms, 12);
    EXPECT_EQ(turn.input().batches.at(0).to, core::BatchState::executing);
    EXPECT_EQ(acks_of(turn), "s1: +1 +2\n");
}

TEST_F(Draft, RunningOfAnotherStepSaysNothing) {
    know(batch_of({1}));
    auto turn = draft();
    turn.receive(ports::StepRunning{kBatch, 5, 1, 900});
    turn.receive(ports::StepRunning{"no batch", 1, 1, 900});
    turn.close();
    EXPECT_FALSE(turn.input().writes_anything());
}

TEST_F(Draft, FailuresGetTheirBackoffFromTheTemplateOrTheWorker) {
    auto batch = batch_of({1, 2});
    batch.steps[0].backoff = {4.0, 2.0, 60.0, 0.0};
    batch.steps[1].backoff = {4.0, 2.0, 60.0, 0.0};
    know(batch);
    auto turn = draft();
    auto asked = partial(2, 2, ReportStatus::failed);
    asked.error->retry_after_seconds = 1.25;
    asked.error->retryable = true;
    asked.error->handler_stopped = false;
    turn.receive(report(partial(1, 1, ReportStatus::failed)));
    turn.receive(report(asked));
    const auto& messages = turn.input().messages;
    EXPECT_DOUBLE_EQ(messages[0].backoff_seconds.value(), 4.0);
    EXPECT_FALSE(messages[0].retryable.has_value());
    EXPECT_DOUBLE_EQ(messages[1].backoff_seconds.value(), 1.25 * 1.05) << "a tenth on top, by chance";
    EXPECT_EQ(messages[1].retryable, true);
    EXPECT_EQ(messages[1].handler_stopped, false);
    EXPECT_EQ(messages[1].error_json, R"({"message":"no luck","error_type":"E"})");
}

TEST_F(Draft, AWishThatIsCutIsShownInTheError) {
    auto batch = batch_of({1, 2});
    for (auto& step : batch.steps) step.backoff = {4.0, 2.0, 60.0, 0.0, 3600.0};
    know(batch);
    auto turn = draft();
    auto kept = partial(1, 1, ReportStatus::failed);
    kept.error->retry_after_seconds = 3600;
    auto cut = partial(2, 2, ReportStatus::failed);
    cut.error->retry_after_seconds = 90'000;
    turn.receive(report(kept));
    turn.receive(report(cut));
    const auto& messages = turn.input().messages;
    EXPECT_GE(messages[0].backoff_seconds.value(), 3600);
    EXPECT_LE(messages[0].backoff_seconds.value(), 3960);
    EXPECT_EQ(messages[0].error_json, R"({"message":"no luck","error_type":"E"})");
    EXPECT_GE(messages[1].backoff_seconds.value(), 3600);
    EXPECT_LE(messages[1].backoff_seconds.value(), 3960);
    EXPECT_EQ(messages[1].error_json,
              R"({"message":"no luck","error_type":"E","retry_after_cut_to_seconds":3600})");
}

TEST_F(Draft, AFailureWithoutErrorGetsOne) {
    know(batch_of({1}));
    auto turn = draft();
    auto message = partial(1, 1, ReportStatus::failed);
    message.error_json.clear();
    message.error.reset();
    turn.receive(report(message));
    EXPECT_NE(turn.input().messages[0].error_json.find("unspecified"), std::string::npos);
}

TEST_F(Draft, OutputThatTheStoreCannotHoldFailsItsAttemptForGoodAndIsAcked) {
    know(batch_of({1, 2, 3}));
    auto turn = draft();
    auto nul = partial(1, 1);
    nul.output_json = R"({"text":"a\u0000b"})";
    auto looks_like_nul = partial(2, 2);
    looks_like_nul.output_json = R"({"text":"a\\u0000b"})";
    auto nul_error = partial(3, 3, ReportStatus::failed);
    nul_error.error_json = R"({"message":"\u0000"})";
    for (const auto& message : {nul, looks_like_nul, nul_error}) turn.receive(report(message));
    turn.close();
    EXPECT_EQ(classes_of(turn), "FFF");
    const auto& messages = turn.input().messages;
    EXPECT_EQ(messages[0].status, "completed") << "the worker's own word stays";
    EXPECT_TRUE(messages[0].unusable);
    EXPECT_EQ(messages[0].output_json, "");
    EXPECT_NE(messages[0].error_json.find(R"("error_code":"unstorable_output")"), std::string::npos);
    EXPECT_EQ(messages[0].retryable, false);
    EXPECT_EQ(messages[1].status, "completed");
    EXPECT_FALSE(messages[1].unusable);
    EXPECT_EQ(messages[2].status, "failed");
    EXPECT_TRUE(messages[2].unusable);
    EXPECT_EQ(acks_of(turn), "s1: +1 +2 +3\n");
}

TEST_F(Draft, OutputOverTheLimitFailsItsAttemptForGoodAndIsAcked) {
    know(batch_of({1, 2}));
    auto turn = draft();
    auto fits = partial(1, 1), exceeds = partial(2, 2);
    fits.output_json = '"' + std::string(98, 'x') + '"';
    exceeds.output_json = '"' + std::string(99, 'x') + '"';
    turn.receive(report(fits));
    turn.receive(report(exceeds));
    const auto& messages = turn.input().messages;
    EXPECT_EQ(messages[0].status, "completed");
    EXPECT_FALSE(messages[0].unusable);
    EXPECT_EQ(messages[1].status, "completed");
    EXPECT_TRUE(messages[1].unusable);
    EXPECT_EQ(messages[1].output_json, "");
    EXPECT_NE(messages[1].error_json.find(R"("error_code":"output_too_large")"), std::string::npos);
    EXPECT_EQ(messages[1].retryable, false);
    EXPECT_EQ(acks_of(turn), "s1: +1 +2\n");
}

TEST_F(Draft, AReportWhoseFrameIsTooLargeEndsItsAttemptWithoutItsContent) {
    know(batch_of({1, 2}));
    auto turn = draft();
    auto first = partial(1, 1);
    first.output_json = "\"" + std::string(5000, 'x') + "\"";
    turn.receive(ports::Report{first, protocol::to_json(first), true});
    auto second = partial(2, 2, ReportStatus::failed);
    second.error_json = R"({"message":")" + std::string(5000, 'x') + R"(","error_type":"E"})";
    turn.receive(ports::Report{second, protocol::to_json(second), true});
    turn.close();
    ASSERT_EQ(classes_of(turn), "FF");
    EXPECT_EQ(acks_of(turn), "s1: +1 +2\n");
    for (const auto& record : turn.input().messages) {
        EXPECT_TRUE(record.unusable);
        EXPECT_EQ(record.output_json, "");
        EXPECT_NE(record.error_json.find("output_too_large"), std::string::npos);
        EXPECT_LT(record.raw.size(), 1000U) << "nor does the ledger keep it";
    }
    know(turn.touched().at(kBatch));
    auto again = draft();
    again.receive(ports::Report{first, protocol::to_json(first), true});
    again.close();
    EXPECT_EQ(classes_of(again), "D");
    EXPECT_FALSE(again.touched().at(kBatch).steps[0].expected.conflicting_report);
}

TEST_F(Draft, AnythingElseThatIsTooLargeIsRefusedAndSetAside) {
    know(batch_of({1}));
    auto turn = draft();
    const auto end = completion({{1, ReportStatus::completed}}, 3);
    turn.receive(ports::Report{end, std::string(100'000, 'x'), true});
    turn.close();
    EXPECT_EQ(acks_of(turn), "s1: -3=too_large\n");
    ASSERT_EQ(turn.rejected().size(), 1U);
    EXPECT_EQ(turn.rejected()[0].code, "too_large");
    EXPECT_EQ(turn.rejected()[0].session, "s1");
    EXPECT_LT(turn.rejected()[0].raw.size(), 70'000U);
    EXPECT_FALSE(turn.input().writes_anything());
}

TEST_F(Draft, OldResponseFormIsItsPartialsFollowedByACompletion) {
    know(batch_of({1, 2}, ""));
    auto turn = draft();
    protocol::StepBatchResponse response;
    response.batch_id = kBatch;
    response.results.resize(2);
    response.results[0].step_id = 1;
    response.results[0].output_json = "{}";
    response.results[1].step_id = 2;
    response.results[1].status = ReportStatus::failed;
    response.results[1].error_json = R"({"message":"m"})";
    turn.receive(report(response, "old"));
    turn.close();
    EXPECT_EQ(classes_of(turn), "FFN");
    EXPECT_TRUE(turn.input().messages[2].completion);
    for (const auto& record : turn.input().messages) EXPECT_EQ(record.raw, "old");
    const auto& change = turn.input().batches.at(0);
    EXPECT_EQ(change.to, core::BatchState::partially_failed);
    EXPECT_EQ(change.partials, 2);
    EXPECT_EQ(change.reconciliation, core::ReconciliationStatus::consistent);
    EXPECT_EQ(acks_of(turn), "");
}

TEST_F(Draft, MalformedBytesAreKeptWithTheirReason) {
    auto turn = draft();
    turn.receive(ports::Malformed{"results", std::string("\0\xff", 2), "invalid_utf8", "byte 1"});
    turn.close();
    ASSERT_EQ(turn.rejected().size(), 1U);
    EXPECT_EQ(turn.rejected()[0].raw.size(), 2U);
    EXPECT_EQ(turn.rejected()[0].code, "invalid_utf8");
    EXPECT_EQ(turn.rejected()[0].reason, "byte 1");
    EXPECT_FALSE(turn.input().writes_anything());
}

TEST_F(Draft, WakeUpsCarryNothing) {
    auto turn = draft();
    turn.receive(ports::Wake{true, true, {1}});
    turn.receive(ports::CreditAppeared{});
    turn.close();
    EXPECT_FALSE(turn.input().writes_anything());
    EXPECT_TRUE(turn.acks().empty());
}

TEST_F(Draft, TheListenersOwnBatchesAreNotTouchedBeforeTheCommit) {
    know(batch_of({1}));
    auto turn = draft();
    turn.receive(report(partial(1, 1)));
    turn.receive(report(completion({{1, ReportStatus::completed}}, 2)));
    turn.close();
    EXPECT_FALSE(known.at(kBatch).steps[0].expected.reported);
    EXPECT_FALSE(known.at(kBatch).completion);
    EXPECT_EQ(known.at(kBatch).state, core::BatchState::published);
}

}  // namespace
}  // namespace tasker::engine
