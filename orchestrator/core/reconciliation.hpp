// Comparison of a batch's partial results with its completion, and the state a batch ends in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/core/states.hpp"

namespace tasker::core {

/// What a worker says about a finished step.
enum class ReportStatus { completed, failed, error };

/// The facts about one step of a batch. A handed-back step leaves the expectation.
struct ExpectedStep {
    std::int64_t step_id = 0;
    std::optional<ReportStatus> reported;
    bool handed_back = false;
    bool orphaned = false;
    bool conflicting_report = false;     // two different final reports for one attempt
    bool started_without_grant = false;  // claim_first: it ran, or was reported, and was never granted
    bool broken_promise = false;         // it ran, and came back as never started
};

/// The worker's batch_completion. A summary without a final status (`in_progress`) counts as no summary.
struct CompletionSummary {
    std::int64_t step_id = 0;
    std::optional<ReportStatus> final_status;
};
struct Completion {
    int total_steps = 0;
    int completed_steps = 0;
    int failed_steps = 0;
    std::vector<CompletionSummary> summaries;
};

enum class ReconciliationStatus { pending, consistent, discrepancy };
enum class DiscrepancyKind {
    missing_partial,
    missing_completion,
    status_mismatch,
    count_mismatch,
    unknown_step,
    duplicate_conflict,
    started_without_grant,
    broken_promise
};
struct Discrepancy {
    DiscrepancyKind kind;
    std::int64_t step_id = 0;  // 0: concerns the whole batch
    std::string detail;
};
struct Reconciliation {
    ReconciliationStatus status = ReconciliationStatus::pending;
    std::vector<Discrepancy> differences;
};

/// Compares report by report and count by count. With `grace_over` nothing is waited for any longer: whatever
/// is missing is a discrepancy. A contradiction is one at once.
Reconciliation reconcile(const std::vector<ExpectedStep>& steps, const std::optional<Completion>& completion,
                         bool grace_over);

/// The event that ends the batch, or nothing while a step is still expected: timed_out if any step was
/// orphaned, cancelled if none is left to report, else by the reported statuses of the rest.
std::optional<BatchEvent> batch_end(const std::vector<ExpectedStep>& steps);

std::string_view to_text(ReconciliationStatus status);
std::string_view to_text(DiscrepancyKind kind);

}  // namespace tasker::core
