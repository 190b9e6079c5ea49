// The listener's memory of batches that are not over yet. A cache of the database, never more: it is filled
// by the listener's own committed turns, rebuilt from the tables at start and after a lost connection, and
// changed only after a commit (a turn works on copies).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "orchestrator/core/reconciliation.hpp"
#include "orchestrator/core/retry_policy.hpp"
#include "orchestrator/ports/store.hpp"

namespace tasker::engine {

struct OpenStep {
    std::int64_t batch_step_id = 0;
    core::RetryBackoff backoff;
    std::int64_t task_id = 0;
    std::int32_t attempt = 0;
    bool started = false;
    std::size_t report_hash = 0;  // of the first final report's status, output and error; 0: not known
    core::ExpectedStep expected;
};

struct OpenBatch {
    std::int64_t batch_id = 0;
    std::string batch_uuid;
    std::string session;  // empty: plain mode
    std::int32_t handler_key = 0;
    core::BatchState state = core::BatchState::published;
    core::ReconciliationStatus reconciliation = core::ReconciliationStatus::pending;
    bool accepted = false;
    std::vector<OpenStep> steps;
    std::optional<core::Completion> completion;
    /// Boot time at which what is missing stops being waited for; set once something is missing.
    std::optional<std::chrono::milliseconds> grace_ends;
    bool reports_requested = false;
    bool grace_spent = false;  // what is missing counts as a discrepancy from now on
    std::string detail = {};   // of the verdict as last written; "" when not known

    OpenStep* find_step(std::int64_t step_id);
    std::vector<core::ExpectedStep> expectation() const;
    /// A report or the completion has not come.
    bool misses_anything() const;
    /// Nothing more is expected: every step is settled and the verdict is in.
    bool is_over() const {
        return core::is_terminal(state) && reconciliation != core::ReconciliationStatus::pending;
    }
};

/// From a stored batch, without the parts that only requests need. The backoff of each step is filled by the
/// caller.
OpenBatch open_batch_from(const ports::StoredBatch& stored);

/// A completion as core sees it. Summaries that say in_progress carry no final status.
std::optional<core::Completion> completion_from_json(const std::string& raw);

class BatchBook {
  public:
    OpenBatch* find(const std::string& batch_uuid);
    void put(OpenBatch batch);
    void erase(const std::string& batch_uuid) { batches_.erase(batch_uuid); }
    void clear() { batches_.clear(); }
    std::size_t size() const { return batches_.size(); }
    const std::unordered_map<std::string, OpenBatch>& all() const { return batches_; }

  private:
    std::unordered_map<std::string, OpenBatch> batches_;
};

}  // namespace tasker::engine
