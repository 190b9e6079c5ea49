#include "orchestrator/core/reconciliation.hpp"

#include <algorithm>
#include <array>

namespace tasker::core {
namespace {

std::string_view text_of(std::optional<ReportStatus> status) {
    if (!status) return "no report";
    switch (*status) {
        case ReportStatus::completed:
            return "completed";
        case ReportStatus::failed:
            return "failed";
        case ReportStatus::error:
            return "error";
    }
    return "no report";
}

class Comparison {
  public:
    Comparison(const std::vector<ExpectedStep>& steps, bool grace_over)
        : steps_(steps), grace_over_(grace_over) {}

    Reconciliation run(const std::optional<Completion>& completion) {
        for (const auto& step : steps_) compare_step(step, completion);
        if (completion) {
            find_unknown_steps(*completion);
            compare_counts(*completion);
        } else if (expected_ > 0) {  // else nothing was left to report, and a worker need not say that
            missing(DiscrepancyKind::missing_completion, 0, "no batch_completion came");
        }
        if (!result_.differences.empty()) {
            result_.status = ReconciliationStatus::discrepancy;
        } else {
            result_.status = waiting_ ? ReconciliationStatus::pending : ReconciliationStatus::consistent;
        }
        return std::move(result_);
    }

  private:
    void differ(DiscrepancyKind kind, std::int64_t step_id, std::string detail) {
        result_.differences.push_back({kind, step_id, std::move(detail)});
    }
    void missing(DiscrepancyKind kind, std::int64_t step_id, std::string detail) {
        waiting_ = true;
        if (grace_over_) differ(kind, step_id, std::move(detail));
    }
    const CompletionSummary* summary_of(const Completion& completion, std::int64_t step_id) const {
        for (const auto& summary : completion.summaries) {
            if (summary.step_id == step_id) return &summary;
        }
        return nullptr;
    }

    void compare_step(const ExpectedStep& step, const std::optional<Completion>& completion) {
        if (step.conflicting_report) {
            differ(DiscrepancyKind::duplicate_conflict, step.step_id,
                   "two different results for one attempt");
        }
        if (step.started_without_grant) {
            differ(DiscrepancyKind::started_without_grant, step.step_id,
                   "claim_first, and its start was never granted");
        }
        if (step.broken_promise) {
            differ(DiscrepancyKind::broken_promise, step.step_id,
                   "it was said to run, and then to have never started");
        }
        if (step.handed_back) return;
        ++expected_;
        if (step.reported == ReportStatus::completed) ++completed_;
        if (!step.reported) missing(DiscrepancyKind::missing_partial, step.step_id, "no partial result came");
        const auto* summary = completion ? summary_of(*completion, step.step_id) : nullptr;
        if (!summary || !step.reported || !summary->final_status) return;
        if (*summary->final_status != *step.reported) {
            differ(DiscrepancyKind::status_mismatch, step.step_id,
                   std::string("partial says ") + std::string(text_of(step.reported)) + ", completion says " +
                       std::string(text_of(summary->final_status)));
        }
    }

    void find_unknown_steps(const Completion& completion) {
        for (const auto& summary : completion.summaries) {
            const bool known = std::any_of(steps_.begin(), steps_.end(), [&](const ExpectedStep& s) {
                return s.step_id == summary.step_id;
            });
            if (!known) differ(DiscrepancyKind::unknown_step, summary.step_id, "not a step of this batch");
        }
    }

    // Counts are compared once every partial is there: before that they can only be ahead.
    void compare_counts(const Completion& completion) {
        if (waiting_ && !grace_over_) return;
        if (completion.total_steps != expected_) {
            differ(DiscrepancyKind::count_mismatch, 0,
                   "completion counts " + std::to_string(completion.total_steps) + " steps, expected " +
                       std::to_string(expected_));
        } else if (!waiting_ && (completion.completed_steps != completed_ ||
                                 completion.failed_steps != expected_ - completed_)) {
            differ(DiscrepancyKind::count_mismatch, 0,
                   "completion counts " + std::to_string(completion.completed_steps) + " completed and " +
                       std::to_string(completion.failed_steps) + " failed, partial results say " +
                       std::to_string(completed_) + " and " + std::to_string(expected_ - completed_));
        }
    }

    const std::vector<ExpectedStep>& steps_;
    const bool grace_over_;
    int expected_ = 0;
    int completed_ = 0;
    bool waiting_ = false;
    Reconciliation result_;
};

}  // namespace

Reconciliation reconcile(const std::vector<ExpectedStep>& steps, const std::optional<Completion>& completion,
                         bool grace_over) {
    return Comparison(steps, grace_over).run(completion);
}

std::optional<BatchEvent> batch_end(const std::vector<ExpectedStep>& steps) {
    int reported = 0;
    int completed = 0;
    bool orphaned = false;
    for (const auto& step : steps) {
        if (step.orphaned) orphaned = true;
        if (step.handed_back || step.orphaned) continue;
        if (!step.reported) return std::nullopt;
        ++reported;
        if (step.reported == ReportStatus::completed) ++completed;
    }
    if (orphaned) return BatchEvent::time_out;
    if (reported == 0) return BatchEvent::cancel;
    if (completed == reported) return BatchEvent::finish_completed;
    return completed == 0 ? BatchEvent::finish_failed : BatchEvent::finish_partially_failed;
}

std::string_view to_text(ReconciliationStatus status) {
    constexpr std::array<std::string_view, 3> names = {"pending", "consistent", "discrepancy"};
    return names[static_cast<std::size_t>(status)];
}

std::string_view to_text(DiscrepancyKind kind) {
    constexpr std::array<std::string_view, 8> names = {
        "missing_partial", "missing_completion", "status_mismatch",       "count_mismatch",
        "unknown_step",    "duplicate_conflict", "started_without_grant", "broken_promise"};
    return names[static_cast<std::size_t>(kind)];
}

}  // namespace tasker::core
