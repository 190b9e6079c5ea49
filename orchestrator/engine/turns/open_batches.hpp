// The listener's memory of batches that are not over yet. A cache of the database, never more: it is filled
// by the listener's own committed turns, rebuilt from the tables at start and after a lost connection, and
// changed only after a commit (a turn works on copies).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
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
    std::int64_t timeout_ms = 0;
    bool claim_first = false;
    bool waits_for_lease = false;  // on_orphan: dead_letter; see CreditPool::may_return
    std::int32_t max_snoozes = 0;
    bool granted = false;
    bool started = false;
    bool called_in = false;                                    // its session was told to give it back
    std::optional<std::chrono::milliseconds> asked_at = {};    // boot time of the last question for a grant
    std::optional<std::chrono::milliseconds> started_at = {};  // boot time
    bool timed = false;                                        // its time-out is being watched
    std::size_t report_hash = 0;  // of the first final report's status, output and error; 0: not known
    core::ExpectedStep expected;

    /// Reported, handed back or orphaned: nothing of it is out any more.
    bool is_settled() const {
        return expected.reported.has_value() || expected.handed_back || expected.orphaned;
    }
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
    /// Boot time until which missing reports are waited for; set once something is missing.
    std::optional<std::chrono::milliseconds> grace_ends;
    std::optional<std::chrono::milliseconds> grace_watched = {};  // the end that Deadlines has
    bool reports_requested = false;
    std::optional<std::chrono::milliseconds> claimed_at = {};  // boot time, of one claimed in this life
    bool session_lost = false;                                 // what is missing then is no surprise
    bool grace_spent = false;  // what is missing counts as a discrepancy from now on
    std::string detail = {};   // of the verdict as last written; "" when not known

    OpenStep* find_step(std::int64_t step_id);
    std::vector<core::ExpectedStep> expectation() const;
    /// It may not start, and nobody has granted it yet.
    bool lacks_grant(const OpenStep& step) const {
        return step.claim_first && !step.granted && !session.empty();
    }
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

/// A completion as core sees it. Summaries with in_progress carry no final status.
std::optional<core::Completion> completion_from_json(const std::string& raw);

/// Of a report's content as sent: distinguishes a repetition from a second, different result. Never 0.
std::size_t report_hash(std::string_view status, std::string_view output_json, std::string_view error_json);
/// The same of a stored message; 0 when it holds no final report of this step.
std::size_t report_hash(const std::string& raw, std::int64_t step_id);

class BatchBook {
  public:
    OpenBatch* find(const std::string& batch_uuid);
    void put(OpenBatch batch);
    void erase(const std::string& batch_uuid) { batches_.erase(batch_uuid); }
    void clear() { batches_.clear(); }
    std::size_t size() const { return batches_.size(); }
    const std::unordered_map<std::string, OpenBatch>& all() const { return batches_; }
    /// The batches sent to this session that have not ended; none of "", the plain worker.
    std::vector<std::string> batches_of(const std::string& session) const;
    /// The sessions of all batches that have not ended, each once.
    std::set<std::string> sessions() const;

  private:
    std::unordered_map<std::string, OpenBatch> batches_;
};

}  // namespace tasker::engine
