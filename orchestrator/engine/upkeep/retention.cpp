#include "orchestrator/engine/upkeep/retention.hpp"

#include <string>

#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/ports/store.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {
namespace {

constexpr std::chrono::milliseconds kCancelAgain{100};
// A range of which too much must stay is looked at again after this many intervals.
constexpr int kLookAgainIntervals = 10;

void log_action(const ports::RetentionAction& action) {
    if (action.what == "range_kept") {
        // Nothing was done, and that again and again.
        util::log::debug("retention: range_kept", {{"axis", action.subject},
                                                   {"low", action.low},
                                                   {"high", action.high},
                                                   {"rows_kept", action.rows_kept}});
    } else if (action.what == "postponed") {
        util::log::info("retention: postponed", {{"cause", action.subject}});
    } else if (action.what == "rows_deleted") {
        util::log::info("retention: rows deleted",
                        {{"table", action.subject}, {"rows", action.rows}, {"took_ms", action.took.count()}});
    } else {
        util::log::info("retention: " + action.what, {{"axis", action.subject},
                                                      {"low", action.low},
                                                      {"high", action.high},
                                                      {"rows", action.rows},
                                                      {"rows_kept", action.rows_kept},
                                                      {"took_ms", action.took.count()}});
    }
}

}  // namespace

void Retention::run() {
    {
        const std::lock_guard lock(mutex_);
        running_ = true;
    }
    do {
        try {
            pass();
        } catch (const ports::EpochLost&) {
            hooks_.epoch_lost();
            break;
        } catch (const ports::DatabaseError& error) {
            const std::lock_guard lock(mutex_);
            store_.reset();
            if (!stop_)
                util::log::warning("retention has failed, the next look tries again",
                                   {{"cause", error.what()}});
        }
    } while (pause(hooks_.settings.check_interval));
    const std::lock_guard lock(mutex_);
    store_.reset();
    running_ = false;
    changed_.notify_all();
}

void Retention::pass() {
    if (!store_) {
        auto store = open_();
        const std::lock_guard lock(mutex_);
        store_ = std::move(store);
    }
    const options::Retention& settings = hooks_.settings;
    store_->run_pass({settings.days, settings.partition_rows, kLookAgainIntervals * settings.check_interval},
                     {log_action, [this](std::chrono::milliseconds timeout) { return pause(timeout); }});
}

// False: it is time to stop.
bool Retention::pause(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    return !changed_.wait_for(lock, timeout, [this] { return stop_; });
}

// A statement may begin right after it was looked for, so ask again until the thread has noticed.
void Retention::stop() {
    std::unique_lock lock(mutex_);
    stop_ = true;
    changed_.notify_all();
    while (running_) {
        if (store_) store_->cancel();
        changed_.wait_for(lock, kCancelAgain, [this] { return !running_; });
    }
}

}  // namespace tasker::engine
