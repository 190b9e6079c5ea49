// What falls due by the clock in one lane: full scans, retries, keys whose steps were locked, graces of
// batches and time-outs of steps.
//
// This class only keeps times and says which of them have passed; its owner decides what follows. Entries
// that have become pointless (a step reported, a grace moved) stay until they fall due and are then dropped,
// so that the usual case costs one insertion. All times are of the boot-time clock.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/engine/turns/open_batches.hpp"
#include "orchestrator/engine/turns/options.hpp"
#include "orchestrator/ports/store.hpp"

namespace tasker::engine {

/// Time-outs of steps that have ended are dropped when more than this are kept.
inline constexpr std::size_t kTimeOutsKept = 10'000;

/// One delivered step whose time-out is watched.
struct TimedStep {
    std::string batch_uuid;
    std::int64_t step_id = 0;
    bool operator==(const TimedStep&) const = default;
};

/// What has fallen due.
struct DueNow {
    bool full_scan = false;           // look at everything: a lost wake-up costs at most this long
    bool retries = false;             // retries and held tasks may be moved into the ready index
    bool locked_keys = false;         // steps that were locked may be looked at again
    std::vector<std::string> graces;  // batches that have waited long enough for what is missing
    std::vector<TimedStep> time_outs;
};

/// Belongs to its lane's thread. `options` must outlive it.
class Deadlines {
  public:
    using milliseconds = std::chrono::milliseconds;

    explicit Deadlines(const ListenerOptions& options) : options_(options) {}

    /// All batches are about to be read back from the database.
    void forget_batches();
    /// Everything has just been looked at.
    void restart_full_scan(milliseconds now) { full_scan_at_ = now + options_.full_scan_every; }
    /// When the next retry or held task falls due, by the database; nothing when none waits.
    void set_next_retry(std::optional<milliseconds> at) { retry_at_ = at.value_or(milliseconds::max()); }
    /// A retry falls due then, perhaps before those known.
    void watch_retry(milliseconds at) { retry_at_ = std::min(retry_at_, at); }
    void watch_locked_keys(milliseconds until) { locked_until_ = until; }

    /// Remembers the end of the batch's grace, if it has one; each end once.
    void watch_grace(OpenBatch& batch);
    /// Watches the steps of the batch that have started and are out; each of them once.
    void watch_started(OpenBatch& batch);
    /// A plain worker reports no start: a step's time counts from `now` (publishing) plus the time-outs of
    /// the steps before it. The whole batch has at most result_timeout. Does nothing for a batch of a
    /// session.
    void watch_plain(OpenBatch& batch, milliseconds now);
    /// The same for a batch read back at the start. Its worker may have reported meanwhile to nobody, so it
    /// gets a lease to do so again. `stored` has its steps in the same order.
    void resume(OpenBatch& batch, const ports::StoredBatch& stored, milliseconds now);

    /// Takes out what has fallen due. A time-out that is overdue by more than `suspect_after` shows that this
    /// process slept: the report may wait unread, so it moves by a lease instead.
    DueNow take_due(milliseconds now, BatchBook& batches);
    /// Drops the time-outs of steps that have ended, once there are many. With time-outs of hours these would
    /// pile up.
    void compact(BatchBook& batches);
    /// When take_due() has something to do next.
    milliseconds next() const;

    std::size_t time_outs() const { return time_outs_.size(); }

  private:
    void take_graces(milliseconds now, BatchBook& batches, DueNow& due);
    void take_time_outs(milliseconds now, BatchBook& batches, DueNow& due);

    const ListenerOptions& options_;
    milliseconds full_scan_at_{0};
    milliseconds retry_at_ = milliseconds::max();
    milliseconds locked_until_ = milliseconds::max();
    std::multimap<milliseconds, std::string> graces_;
    std::multimap<milliseconds, TimedStep> time_outs_;
    std::size_t compact_at_ = kTimeOutsKept;
};

}  // namespace tasker::engine
