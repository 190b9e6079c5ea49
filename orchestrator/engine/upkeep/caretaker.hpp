// The thread beside the listeners that keeps this orchestrator's own rows: it writes each second that it is
// alive and the list of its workers, and announces ended tasks. It only informs: what it loses, the next beat
// writes again, and people who wait for a task look for themselves from time to time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "orchestrator/engine/upkeep/worker_rows.hpp"
#include "orchestrator/ports/housekeeping.hpp"

namespace tasker::engine {

/// run() has a thread of its own and reconnects by itself.
class Caretaker {
  public:
    using Open = std::function<std::unique_ptr<ports::Housekeeping>()>;
    struct Hooks {
        std::function<std::vector<core::SessionView>()> sessions;
        std::function<void()> epoch_lost;
        std::string endpoints_json;
        std::chrono::milliseconds beat_every{1000};
    };

    Caretaker(Open open, Hooks hooks) : open_(std::move(open)), hooks_(std::move(hooks)) {}
    void run();
    /// Thread-safe. Announces what is queued, writes the state `stopped`, and ends run().
    void stop();
    /// Thread-safe: NOTIFY tasker_done for these tasks, soon.
    void announce(std::vector<std::int64_t> task_ids);

  private:
    void work(const std::vector<std::int64_t>& ended, bool beat);

    Open open_;
    Hooks hooks_;
    std::unique_ptr<ports::Housekeeping> store_;
    bool serving_written_ = false;
    std::chrono::steady_clock::time_point next_log_;
    WorkerRows worker_rows_;
    std::mutex mutex_;
    std::condition_variable changed_;
    // Guarded by mutex_.
    std::vector<std::int64_t> ended_;
    bool stop_ = false;
};

}  // namespace tasker::engine
