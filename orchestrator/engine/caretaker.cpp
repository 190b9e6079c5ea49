#include "orchestrator/engine/caretaker.hpp"

#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/ports/store.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {
namespace {

constexpr std::chrono::milliseconds kReconnectPause{500};
constexpr int kWaitMs = 60'000;

}  // namespace

void WakeListener::run() {
    std::unique_ptr<ports::WakeSource> source;
    while (!stopping_) {
        try {
            if (!source) {
                source = open_();
                ports::Wake everything;
                everything.full_scan = true;
                lanes_.push_event(everything);
            }
            for (auto& wake : source->wait(stop_fd_, kWaitMs)) lanes_.push_event(std::move(wake));
        } catch (const ports::DatabaseError& error) {
            if (source)
                util::log::warning("the connection that hears NOTIFY is lost", {{"cause", error.what()}});
            source.reset();
            if (lanes_.wait_closed(kReconnectPause)) return;
        }
    }
}

void Caretaker::announce(std::vector<std::int64_t> task_ids) {
    {
        const std::lock_guard lock(mutex_);
        ended_.insert(ended_.end(), task_ids.begin(), task_ids.end());
    }
    changed_.notify_one();
}

void Caretaker::stop() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_one();
}

void Caretaker::run() {
    auto next_beat = std::chrono::steady_clock::now();
    bool stopping = false;
    while (!stopping) {
        std::vector<std::int64_t> ended;
        {
            std::unique_lock lock(mutex_);
            changed_.wait_until(lock, next_beat, [this] { return stop_ || !ended_.empty(); });
            ended.swap(ended_);
            stopping = stop_;
        }
        const auto now = std::chrono::steady_clock::now();
        const bool beat = now >= next_beat;
        if (beat) next_beat = now + duties_.beat_every;
        try {
            work(ended, beat);
            if (stopping) {
                store_->write_workers({}, {});
                store_->set_state("stopped", duties_.endpoints_json);
            }
        } catch (const ports::EpochLost&) {
            duties_.epoch_lost();
        } catch (const ports::DatabaseError& error) {
            // The listener says it loudly; whoever waits for these tasks looks for himself from time to time.
            util::log::debug("caretaker could not reach the database", {{"cause", error.what()}});
            store_.reset();
        }
    }
}

void Caretaker::work(const std::vector<std::int64_t>& ended, bool beat) {
    if (!store_) {
        store_ = open_();
        serving_written_ = false;
        worker_rows_.forget();
    }
    if (!serving_written_) {
        store_->set_state("serving", duties_.endpoints_json);
        serving_written_ = true;
    }
    if (!ended.empty()) store_->notify_done(ended);
    if (!beat) return;
    store_->beat();
    auto sessions = duties_.sessions();
    std::vector<std::string> known;
    known.reserve(sessions.size());
    for (const auto& view : sessions) known.push_back(view.spec.session);
    store_->write_workers(worker_rows_.take_due(std::move(sessions)), known);
}

}  // namespace tasker::engine
