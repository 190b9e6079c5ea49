#include "orchestrator/engine/upkeep/caretaker.hpp"

#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/ports/store.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {
namespace {

constexpr std::chrono::seconds kLogAgain{10};

}  // namespace

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
        if (beat) next_beat = now + hooks_.beat_every;
        try {
            work(ended, beat);
            if (stopping) {
                store_->write_workers({}, {});
                store_->set_state("stopped", hooks_.endpoints_json);
            }
        } catch (const ports::EpochLost&) {
            hooks_.epoch_lost();
        } catch (const ports::DatabaseError& error) {
            // A lost connection the listener logs as an error; people who wait for these tasks look again by
            // themselves. What is refused to the caretaker alone nobody else would log.
            const bool lost = error.fault() == ports::DatabaseFault::connection;
            const bool due = !lost && now >= next_log_;
            if (due) next_log_ = now + kLogAgain;
            util::log::write(due ? util::log::Level::error : util::log::Level::debug,
                             lost ? "caretaker could not reach the database"
                                  : "the database refuses signs of life or the worker list",
                             {{"cause", error.what()}});
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
        store_->set_state("serving", hooks_.endpoints_json);
        serving_written_ = true;
    }
    if (!ended.empty()) store_->notify_done(ended);
    if (!beat) return;
    store_->beat();
    auto sessions = hooks_.sessions();
    std::vector<std::string> known;
    known.reserve(sessions.size());
    for (const auto& view : sessions) known.push_back(view.spec.session);
    store_->write_workers(worker_rows_.take_due(std::move(sessions)), known);
}

}  // namespace tasker::engine
