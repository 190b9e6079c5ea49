// The queue from the io thread to the listener. Reports are bounded, since a worker sends again what was not
// acked; control events are not, because each is bounded by something else: an Accepted by the batches that
// are out, a StepRunning by the credit, a Wake or CreditAppeared by there being at most one of its kind in
// the queue. Each lane has its own.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <iterator>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "orchestrator/ports/delivery.hpp"
#include "orchestrator/util/time.hpp"

namespace tasker::engine {

/// True for what `result_queue_hwm` bounds: messages that take memory by their content, and those that
/// workers repeat as long as they are not answered.
inline bool is_bounded(const ports::Inbound& item) {
    return std::holds_alternative<ports::Report>(item) || std::holds_alternative<ports::Malformed>(item) ||
           std::holds_alternative<ports::StartRequested>(item);
}

/// Longest single wait of the mailbox's condition variable.
inline constexpr std::chrono::milliseconds kWaitPieceMax{60'000};

/// Any number of threads push, one takes. All calls are thread-safe.
class Mailbox {
  public:
    /// `reports_max`: result_queue_hwm.
    explicit Mailbox(std::size_t reports_max) : reports_max_(reports_max) {}

    /// False, and nothing queued, when the queue is full of reports or closed.
    bool push_report(ports::Inbound report) {
        {
            const std::lock_guard lock(mutex_);
            if (closed_ || reports_ >= reports_max_) return false;
            ++reports_;
            queue_.push_back(std::move(report));
        }
        arrived_.notify_one();
        return true;
    }

    /// Never refused for want of room; dropped only after `close`.
    void push_event(ports::Inbound event) {
        {
            const std::lock_guard lock(mutex_);
            if (closed_ || merges(event)) return;
            queue_.push_back(std::move(event));
        }
        arrived_.notify_one();
    }

    /// Queues all items in order with one notification, and empties the vector; returns how many bounded ones
    /// found no room. The caller that asked `report_room` before and is the only one to push reports loses
    /// none.
    std::size_t push_all(std::vector<ports::Inbound>& items) {
        std::size_t refused = 0;
        {
            const std::lock_guard lock(mutex_);
            for (ports::Inbound& item : items) {
                if (is_bounded(item)) {
                    if (closed_ || reports_ >= reports_max_) {
                        ++refused;
                        continue;
                    }
                    ++reports_;
                } else if (closed_ || merges(item)) {
                    continue;
                }
                queue_.push_back(std::move(item));
            }
        }
        items.clear();
        arrived_.notify_one();
        return refused;
    }

    std::size_t report_room() const {
        const std::lock_guard lock(mutex_);
        return closed_ ? 0 : reports_max_ - std::min(reports_max_, reports_);
    }

    /// Appends everything that waits to `out`; waits for the first item until `deadline`, a time of the
    /// boot-time clock (one that has passed: does not wait). False when the mailbox is closed and empty:
    /// nothing will come any more.
    bool take_all(std::vector<ports::Inbound>& out, std::chrono::milliseconds deadline) {
        std::unique_lock lock(mutex_);
        wait_until(lock, deadline, [this] { return closed_ || !queue_.empty(); });
        if (queue_.empty()) return !closed_;
        if (out.empty()) {
            out.swap(queue_);
        } else {
            out.insert(out.end(), std::make_move_iterator(queue_.begin()),
                       std::make_move_iterator(queue_.end()));
            queue_.clear();
        }
        reports_ = 0;
        credit_queued_ = false;
        share_queued_ = false;
        wake_at_.reset();
        return true;
    }

    /// Waits for `close`, at most this long; true when closed. For pauses that must not delay a shutdown.
    bool wait_closed(std::chrono::milliseconds at_most) {
        std::unique_lock lock(mutex_);
        return arrived_.wait_for(lock, at_most, [this] { return closed_; });
    }

    /// Nothing is taken in any more; what waits can still be taken out.
    void close() {
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
        }
        arrived_.notify_all();
    }

  private:
    // The condition variable counts on the monotonic clock, which stands still during suspend: the remaining
    // time is taken anew from the boot-time clock after each wake-up, and a far deadline waits in pieces.
    template <typename Condition>
    void wait_until(std::unique_lock<std::mutex>& lock, std::chrono::milliseconds deadline,
                    Condition condition) {
        while (!condition()) {
            const auto now = util::boot_time();
            if (now >= deadline) return;
            arrived_.wait_for(lock, std::min(deadline - now, kWaitPieceMax), condition);
        }
    }

    // A second hint of the same kind adds nothing, apart from the keys it names. Guarded by mutex_.
    bool merges(const ports::Inbound& event) {
        if (std::holds_alternative<ports::CreditAppeared>(event)) return std::exchange(credit_queued_, true);
        if (std::holds_alternative<ports::CreditShared>(event)) return std::exchange(share_queued_, true);
        const auto* wake = std::get_if<ports::Wake>(&event);
        if (wake == nullptr) return false;
        if (!wake_at_) {
            wake_at_ = queue_.size();  // where the caller puts it
            return false;
        }
        auto& queued = std::get<ports::Wake>(queue_[*wake_at_]);
        queued.full_scan |= wake->full_scan;
        queued.definitions |= wake->definitions;
        if (!wake->keys.empty()) {
            queued.from = queued.keys.empty() ? wake->from : std::min(queued.from, wake->from);
        }
        if (queued.shard != wake->shard) queued.shard.reset();
        for (const auto key : wake->keys) {
            if (std::find(queued.keys.begin(), queued.keys.end(), key) == queued.keys.end()) {
                queued.keys.push_back(key);
            }
        }
        return true;
    }

    const std::size_t reports_max_;
    mutable std::mutex mutex_;
    std::condition_variable arrived_;
    // Guarded by mutex_.
    std::vector<ports::Inbound> queue_;
    std::size_t reports_ = 0;
    bool credit_queued_ = false;
    bool share_queued_ = false;
    std::optional<std::size_t> wake_at_;  // place of the queued Wake
    bool closed_ = false;
};

}  // namespace tasker::engine
