// The threads beside the listener that touch the database: one hears NOTIFY and passes it on, one says each
// second that this orchestrator lives, writes the worker list, and announces ended tasks. Both only inform:
// whatever they lose, the listener's periodic scan and people's periodic looks find again.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "orchestrator/engine/lane_router.hpp"
#include "orchestrator/engine/worker_rows.hpp"
#include "orchestrator/ports/housekeeping.hpp"

namespace tasker::engine {

/// Passes notifications to the lanes until `stopping`; reconnects by itself, and asks for a full scan after
/// each reconnection, since notifications of the meantime are lost.
class WakeListener {
  public:
    using Open = std::function<std::unique_ptr<ports::WakeSource>()>;
    WakeListener(Open open, LaneRouter& lanes, const std::atomic<bool>& stopping, int stop_fd)
        : open_(std::move(open)), lanes_(lanes), stopping_(stopping), stop_fd_(stop_fd) {}
    void run();

  private:
    Open open_;
    LaneRouter& lanes_;
    const std::atomic<bool>& stopping_;
    int stop_fd_;
};

class Caretaker {
  public:
    using Open = std::function<std::unique_ptr<ports::Housekeeping>()>;
    struct Duties {
        std::function<std::vector<core::SessionView>()> sessions;
        std::function<void()> epoch_lost;
        std::string endpoints_json;
        std::chrono::milliseconds beat_every{1000};
    };

    Caretaker(Open open, Duties duties) : open_(std::move(open)), duties_(std::move(duties)) {}
    void run();
    /// Thread-safe. Announces what is queued, says `stopped`, and ends run().
    void stop();
    /// Thread-safe: NOTIFY tasker_done for these tasks, soon.
    void announce(std::vector<std::int64_t> task_ids);

  private:
    void work(const std::vector<std::int64_t>& ended, bool beat);

    Open open_;
    Duties duties_;
    std::unique_ptr<ports::Housekeeping> store_;
    bool serving_written_ = false;
    WorkerRows worker_rows_;
    std::mutex mutex_;
    std::condition_variable changed_;
    // Guarded by mutex_.
    std::vector<std::int64_t> ended_;
    bool stop_ = false;
};

}  // namespace tasker::engine
