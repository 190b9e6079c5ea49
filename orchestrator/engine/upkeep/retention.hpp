// The thread that keeps the running tables bounded: looks from time to time whether partitions must be made
// or dropped. It is alone with its connection, because what it does may have to wait for others (a DROP for a
// forgotten console) and nothing else may wait with it. It only tidies: whatever it misses, it finds again.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>

#include "orchestrator/options/options.hpp"
#include "orchestrator/ports/retention.hpp"

namespace tasker::engine {

class Retention {
  public:
    using Open = std::function<std::unique_ptr<ports::Retention>()>;
    struct Hooks {
        options::Retention settings;
        std::function<void()> epoch_lost;
    };

    Retention(Open open, Hooks hooks) : open_(std::move(open)), hooks_(std::move(hooks)) {}
    /// Passes at once and then every settings.check_interval, until stop(). Failures are logged and tried
    /// again.
    void run();
    /// Thread-safe. Breaks off what runs and returns when run() is about to return.
    void stop();

  private:
    void pass();
    bool pause(std::chrono::milliseconds timeout);

    Open open_;
    Hooks hooks_;
    std::mutex mutex_;
    std::condition_variable changed_;
    // Guarded by mutex_; the store itself is used by run()'s thread, only cancel() by others.
    std::unique_ptr<ports::Retention> store_;
    bool stop_ = false;
    bool running_ = false;
};

}  // namespace tasker::engine
