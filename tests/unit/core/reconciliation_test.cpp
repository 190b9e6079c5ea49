#include "orchestrator/core/reconciliation.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tasker::core {
namespace {

constexpr auto kDone = ReportStatus::completed;
constexpr auto kFailed = ReportStatus::failed;
constexpr auto kError = ReportStatus::error;

ExpectedStep reported(std::int64_t id, ReportStatus status) {
    return {id, status, false, false, false};
}
ExpectedStep silent(std::int64_t id) {
    return {id, std::nullopt, false, false, false};
}
ExpectedStep handed_back(std::int64_t id) {
    return {id, std::nullopt, true, false, false};
}
ExpectedStep orphaned(std::int64_t id) {
    return {id, std::nullopt, false, true, false};
}

// A completion that counts and lists exactly these.
Completion completion_of(const std::vector<CompletionSummary>& summaries) {
    Completion completion;
    completion.summaries = summaries;
    completion.total_steps = static_cast<int>(summaries.size());
    for (const auto& summary : summaries) {
        if (summary.final_status == kDone) ++completion.completed_steps;
        if (summary.final_status == kFailed || summary.final_status == kError) ++completion.failed_steps;
    }
    return completion;
}

// "pending", or the status followed by kind:step of each difference.
std::string verdict_of(const std::vector<ExpectedStep>& steps, const std::optional<Completion>& completion,
                       bool grace_over) {
    const auto result = reconcile(steps, completion, grace_over);
    std::string text(to_text(result.status));
    for (const auto& difference : result.differences) {
        text += " " + std::string(to_text(difference.kind)) + ":" + std::to_string(difference.step_id);
        EXPECT_FALSE(difference.detail.empty());
    }
    return text;
}

TEST(Reconcile, PartialsAndCompletionThatAgreeAreConsistent) {
    const std::vector<ExpectedStep> steps = {reported(1, kDone), reported(2, kFailed), reported(3, kError)};
    const auto completion = completion_of({{1, kDone}, {2, kFailed}, {3, kError}});
    EXPECT_EQ(verdict_of(steps, completion, false), "consistent");
    EXPECT_EQ(verdict_of(steps, completion, true), "consistent");
}

TEST(Reconcile, CompletionFirstWaitsForThePartialsThenMissesThem) {
    const std::vector<ExpectedStep> steps = {reported(1, kDone), silent(2)};
    const auto completion = completion_of({{1, kDone}, {2, kDone}});
    EXPECT_EQ(verdict_of(steps, completion, false), "pending");
    EXPECT_EQ(verdict_of(steps, completion, true), "discrepancy missing_partial:2");
}

TEST(Reconcile, PartialsFirstWaitForTheCompletionThenMissIt) {
    const std::vector<ExpectedStep> steps = {reported(1, kDone)};
    EXPECT_EQ(verdict_of(steps, std::nullopt, false), "pending");
    EXPECT_EQ(verdict_of(steps, std::nullopt, true), "discrepancy missing_completion:0");
}

TEST(Reconcile, BothMissingAreNamed) {
    EXPECT_EQ(verdict_of({orphaned(7)}, std::nullopt, false), "pending");
    EXPECT_EQ(verdict_of({orphaned(7)}, std::nullopt, true),
              "discrepancy missing_partial:7 missing_completion:0");
}

TEST(Reconcile, AStatusThatDiffersIsADiscrepancyAtOnce) {
    // The counts agree; only the two statuses are exchanged.
    const std::vector<ExpectedStep> steps = {reported(1, kDone), reported(2, kFailed)};
    const auto exchanged = completion_of({{1, kFailed}, {2, kDone}});
    EXPECT_EQ(verdict_of(steps, exchanged, false), "discrepancy status_mismatch:1 status_mismatch:2");
    const auto detail = reconcile(steps, exchanged, false).differences.front().detail;
    EXPECT_EQ(detail, "partial says completed, completion says failed");
    // … also while another step is still waited for.
    auto waiting = steps;
    waiting.push_back(silent(3));
    EXPECT_EQ(verdict_of(waiting, completion_of({{1, kFailed}, {2, kFailed}, {3, kDone}}), false),
              "discrepancy status_mismatch:1");
}

TEST(Reconcile, FailedAndErrorAreDifferentStatuses) {
    EXPECT_EQ(verdict_of({reported(1, kFailed)}, completion_of({{1, kError}}), false),
              "discrepancy status_mismatch:1");
}

TEST(Reconcile, CountsThatDifferAreADiscrepancy) {
    const std::vector<ExpectedStep> steps = {reported(1, kDone), reported(2, kDone)};
    auto completion = completion_of({{1, kDone}, {2, kDone}});
    completion.total_steps = 3;
    EXPECT_EQ(verdict_of(steps, completion, false), "discrepancy count_mismatch:0");
    completion.total_steps = 2;
    completion.completed_steps = 1;
    EXPECT_EQ(verdict_of(steps, completion, false), "discrepancy count_mismatch:0");
    completion.completed_steps = 2;
    completion.failed_steps = 1;
    EXPECT_EQ(verdict_of(steps, completion, false), "discrepancy count_mismatch:0");
    completion.failed_steps = 0;
    EXPECT_EQ(verdict_of(steps, completion, false), "consistent");
}

TEST(Reconcile, CountsAreNotComparedWhilePartialsAreMissing) {
    auto completion = completion_of({{1, kDone}, {2, kDone}});
    completion.completed_steps = 2;
    EXPECT_EQ(verdict_of({reported(1, kDone), silent(2)}, completion, false), "pending");
}

TEST(Reconcile, AStepThatIsNotOfTheBatchIsUnknownAtOnce) {
    auto completion = completion_of({{1, kDone}, {99, kDone}});
    completion.total_steps = 1;
    completion.completed_steps = 1;
    EXPECT_EQ(verdict_of({reported(1, kDone)}, completion, false), "discrepancy unknown_step:99");
}

TEST(Reconcile, TwoDifferentResultsForOneAttemptAreAConflict) {
    auto step = reported(1, kDone);
    step.conflicting_report = true;
    EXPECT_EQ(verdict_of({step}, completion_of({{1, kDone}}), false), "discrepancy duplicate_conflict:1");
}

TEST(Reconcile, AWordThatWasBrokenIsADiscrepancyThoughAllElseAgrees) {
    auto started = reported(1, kDone);
    started.started_without_grant = true;
    EXPECT_EQ(verdict_of({started}, completion_of({{1, kDone}}), false),
              "discrepancy started_without_grant:1");
    auto promised = handed_back(2);
    promised.broken_promise = true;
    EXPECT_EQ(verdict_of({reported(1, kDone), promised}, completion_of({{1, kDone}}), false),
              "discrepancy broken_promise:2");
    EXPECT_EQ(verdict_of({promised}, std::nullopt, false), "discrepancy broken_promise:2")
        << "nothing is left to report, so no completion is missing";
}

TEST(Reconcile, HandedBackStepsLeaveTheExpectation) {
    const std::vector<ExpectedStep> steps = {reported(1, kDone), handed_back(2)};
    EXPECT_EQ(verdict_of(steps, completion_of({{1, kDone}}), false), "consistent");
    // A completion that still counts it contradicts the hand-back.
    EXPECT_EQ(verdict_of(steps, completion_of({{1, kDone}, {2, kDone}}), false),
              "discrepancy count_mismatch:0");
}

TEST(Reconcile, ABatchHandedBackWholeNeedsNoCompletion) {
    EXPECT_EQ(verdict_of({handed_back(1), handed_back(2)}, std::nullopt, false), "consistent");
    EXPECT_EQ(verdict_of({handed_back(1)}, completion_of({}), false), "consistent");
}

TEST(Reconcile, ASummaryWithoutFinalStatusSaysNothing) {
    Completion completion = completion_of({{1, kDone}, {2, std::nullopt}});
    EXPECT_EQ(verdict_of({reported(1, kDone), silent(2)}, completion, false), "pending");
    // When the partial has come after all, the counts still tell that the completion did not know it.
    EXPECT_EQ(verdict_of({reported(1, kDone), reported(2, kDone)}, completion, false),
              "discrepancy count_mismatch:0");
}

TEST(BatchEnd, WaitsWhileAStepIsExpected) {
    EXPECT_FALSE(batch_end({reported(1, kDone), silent(2)}));
    EXPECT_FALSE(batch_end({orphaned(1), silent(2)}));
    EXPECT_FALSE(batch_end({handed_back(1), silent(2)}));
}

TEST(BatchEnd, IsDecidedByTheReportsOfTheRest) {
    EXPECT_EQ(batch_end({reported(1, kDone), reported(2, kDone)}), BatchEvent::finish_completed);
    EXPECT_EQ(batch_end({reported(1, kDone), reported(2, kFailed)}), BatchEvent::finish_partially_failed);
    EXPECT_EQ(batch_end({reported(1, kFailed), reported(2, kError)}), BatchEvent::finish_failed);
    EXPECT_EQ(batch_end({reported(1, kDone), handed_back(2)}), BatchEvent::finish_completed);
    EXPECT_EQ(batch_end({reported(1, kError), handed_back(2)}), BatchEvent::finish_failed);
}

TEST(BatchEnd, IsTimedOutWhenAnyStepWasOrphanedAndCancelledWhenNoneIsLeft) {
    EXPECT_EQ(batch_end({reported(1, kDone), orphaned(2)}), BatchEvent::time_out);
    EXPECT_EQ(batch_end({handed_back(1), orphaned(2)}), BatchEvent::time_out);
    EXPECT_EQ(batch_end({handed_back(1), handed_back(2)}), BatchEvent::cancel);
    // Its worker reported after all; it was orphaned all the same.
    auto late = orphaned(1);
    late.reported = kDone;
    EXPECT_EQ(batch_end({late}), BatchEvent::time_out);
}

}  // namespace
}  // namespace tasker::core
