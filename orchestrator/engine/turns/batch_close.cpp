#include "orchestrator/engine/turns/batch_close.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace tasker::engine {
namespace {

// What is missing because its worker is gone needs nobody's attention: the steps were retried or
// dead-lettered.
bool is_expected_loss(const OpenBatch& batch, const core::Reconciliation& verdict) {
    return batch.session_lost &&
           std::all_of(verdict.differences.begin(), verdict.differences.end(), [](const auto& difference) {
               return difference.kind == core::DiscrepancyKind::missing_partial ||
                      difference.kind == core::DiscrepancyKind::missing_completion ||
                      difference.kind == core::DiscrepancyKind::count_mismatch;
           });
}

// Returns the number of transitions.
int advance_state(OpenBatch& batch, const BatchProgress& progress,
                  const std::vector<core::ExpectedStep>& expectation) {
    int transitions = 0;
    auto state = progress.from;
    if (progress.life && state == core::BatchState::published) {
        state = *core::next_state(state, core::BatchEvent::start);
        ++transitions;
    }
    if (!core::is_terminal(state)) {
        if (const auto event = core::batch_end(expectation)) {
            // A batch that reports without a sign of life in between passes through executing all the same.
            if (!core::next_state(state, *event)) {
                state = *core::next_state(state, core::BatchEvent::start);
                ++transitions;
            }
            state = *core::next_state(state, *event);
            ++transitions;
        }
    }
    batch.state = state;
    return transitions;
}

// Returns whether somebody has to look at it.
bool reconcile(OpenBatch& batch, const std::vector<core::ExpectedStep>& expectation,
               ports::BatchChange& change) {
    const auto verdict = core::reconcile(expectation, batch.completion, batch.grace_spent);
    if (verdict.status == core::ReconciliationStatus::pending) return false;
    const bool is_loss = is_expected_loss(batch, verdict);
    auto detail = discrepancies_json(verdict.differences, is_loss ? "session_lost" : "");
    // Later arrivals change what a discrepancy consists of, not only whether there is one.
    const bool as_written =
        verdict.status == batch.reconciliation && (verdict.differences.empty() || detail == batch.detail);
    if (as_written) return false;
    change.reconciliation = verdict.status;
    change.detail_json = detail;
    batch.reconciliation = verdict.status;
    batch.detail = std::move(detail);
    return verdict.status == core::ReconciliationStatus::discrepancy && !is_loss;
}

}  // namespace

ClosedBatch close_batch(OpenBatch& batch, const BatchProgress& progress, std::chrono::milliseconds now,
                        std::chrono::milliseconds reconcile_grace) {
    const auto expectation = batch.expectation();
    ClosedBatch closed;
    ports::BatchChange change;
    change.batch_id = batch.batch_id;
    change.from = progress.from;
    change.partials = progress.partials;
    change.completion = progress.completion;
    change.transitions = advance_state(batch, progress, expectation);
    change.to = batch.state;
    if (core::is_terminal(batch.state) || batch.completion) {
        batch.grace_spent = batch.grace_spent || progress.grace_over;
        closed.alert = reconcile(batch, expectation, change);
        if (batch.grace_spent || !batch.misses_anything()) {
            batch.grace_ends.reset();
        } else if (!batch.grace_ends) {
            batch.grace_ends = now + reconcile_grace;
        }
    }
    if (change.transitions > 0 || change.partials > 0 || change.completion || change.reconciliation) {
        closed.change = std::move(change);
    }
    return closed;
}

std::string discrepancies_json(const std::vector<core::Discrepancy>& differences,
                               std::string_view explained_by) {
    nlohmann::json list = nlohmann::json::array();
    for (const auto& difference : differences) {
        nlohmann::json entry = {{"kind", core::to_text(difference.kind)}, {"detail", difference.detail}};
        if (difference.step_id != 0) entry["step_id"] = difference.step_id;
        if (!explained_by.empty()) entry["explained_by"] = explained_by;
        list.push_back(std::move(entry));
    }
    return nlohmann::json{{"discrepancies", std::move(list)}}.dump();
}

}  // namespace tasker::engine
