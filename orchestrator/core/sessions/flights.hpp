// The delivered steps that hold credit, by (batch, step). The table outlives the loss of a session, so that a
// report which comes late, twice, or after the loss gives back nothing a second time.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/core/lanes.hpp"
#include "orchestrator/core/sessions/spec.hpp"

namespace tasker::core {

/// Credit that was freed, and the session that had it (nullptr: the batch is not known).
struct Freed {
    std::int32_t credit = 0;
    const std::string* session = nullptr;
    int lane = 0;
};

/// Pure bookkeeping. Every call returns how much credit it freed or took; the ledger keeps the sums.
class FlightTable {
  public:
    /// Enters the batch; `holds_credit` is false for a batch whose session is gone already. A batch that is
    /// known stays as it is. Returns the credit taken.
    std::int32_t add(TakenBatch batch, bool holds_credit);

    /// The step's final report came (first or again): 1 when that freed credit, else 0. With `still_running`
    /// the credit stays until `release_unlisted`.
    Freed reported(std::string_view batch_uuid, std::int64_t step_id, bool still_running);
    std::int32_t reported_all(std::string_view batch_uuid);
    /// The report did not count: the step is expected again. Credit that was freed stays free.
    void reopen(std::string_view batch_uuid, std::int64_t step_id);

    /// The batch has ended: frees its credit and drops it, except for steps that still run.
    std::int32_t forget(std::string_view batch_uuid);

    /// Steps of `session` that were reported as still running and that it no longer lists give their credit
    /// back. Returns how much.
    std::int32_t release_unlisted(std::string_view session, const Inventory& inventory);

    /// The session is lost: everything of it. Returns the credit freed.
    std::int32_t release_session(std::string_view session);

    /// The session is back: steps that it lists as held or running take credit again, if they are of its own
    /// batches and not reported. Returns how much.
    std::int32_t retake(std::string_view session, const Inventory& inventory);

    /// True the first time this (known) step is said to run.
    bool record_running(std::string_view batch_uuid, std::int64_t step_id);

    /// The step is out and has no final report yet.
    bool expects(std::string_view batch_uuid, std::int64_t step_id) const;
    /// All batches of a lane that are known and have not ended.
    std::vector<std::string> open_batches(int lane = 0) const;
    /// Every session that has open batches, or still runs a step of an ended one.
    std::vector<std::string> sessions() const;
    /// Steps that have no final report yet; empty for an unknown batch.
    std::vector<std::int64_t> unreported(std::string_view batch_uuid) const;
    /// nullptr for a batch that is not known; the views live until the batch is forgotten.
    const std::string* session_of(std::string_view batch_uuid) const;
    const std::string* handler_class_of(std::string_view batch_uuid) const;
    /// The lane whose turn claimed it; 0 for a batch that is not known.
    int lane_of(std::string_view batch_uuid) const;
    /// Credit held by a session's batches, counted anew: a walk over all batches.
    std::array<std::int32_t, kLanesMax> count_held_by_lane(std::string_view session) const;

  private:
    friend class SanityCheck;  // of the tests: counts everything anew

    struct Slot {
        std::int64_t step_id = 0;
        bool holds_credit = false;
        bool reported = false;
        bool still_running = false;  // reported with handler_stopped: false
        bool running_seen = false;
    };
    struct Flight {
        std::string session;
        std::string handler_class;
        std::vector<Slot> slots;  // sorted by step_id
        int lane = 0;
        bool forgotten = false;  // ended, but a handler of it still runs
    };

    static std::int32_t held_by(const Flight& flight);
    static Slot* find_slot(Flight& flight, std::int64_t step_id);

    TextMap<Flight> flights_;
    std::int64_t still_running_ = 0;  // slots with the flag: usually none, which spares the search
};

}  // namespace tasker::core
