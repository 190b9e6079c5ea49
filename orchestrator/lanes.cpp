#include "orchestrator/lanes.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "orchestrator/ports/database_error.hpp"

namespace tasker {
namespace {

using engine::ListenerCounters;

struct NamedCounter {
    const char* name;
    std::atomic<std::int64_t> ListenerCounters::*counter;
};

constexpr std::array kCounters{
    NamedCounter{"turns", &ListenerCounters::turns},
    NamedCounter{"messages", &ListenerCounters::messages},
    NamedCounter{"reports_applied", &ListenerCounters::reports_applied},
    NamedCounter{"steps_claimed", &ListenerCounters::steps_claimed},
    NamedCounter{"messages_rejected", &ListenerCounters::messages_rejected},
    NamedCounter{"messages_deferred", &ListenerCounters::messages_deferred},
    NamedCounter{"turns_repeated", &ListenerCounters::turns_repeated},
    NamedCounter{"reconnects", &ListenerCounters::reconnects},
    NamedCounter{"commits_in_doubt", &ListenerCounters::commits_in_doubt},
    NamedCounter{"orphans", &ListenerCounters::orphans},
    NamedCounter{"hand_backs", &ListenerCounters::hand_backs},
    NamedCounter{"starts_granted", &ListenerCounters::starts_granted},
    NamedCounter{"starts_denied", &ListenerCounters::starts_denied},
    NamedCounter{"discrepancies", &ListenerCounters::discrepancies},
    NamedCounter{"open_batches", &ListenerCounters::open_batches},
};

}  // namespace

Lanes::Lanes(const engine::ListenerOptions& options, Surroundings surroundings,
             std::unique_ptr<store::TurnStore> first)
    : around_(std::move(surroundings)), epoch_(options.epoch), first_(std::move(first)) {
    for (int lane = 0; lane < around_.router.lanes(); ++lane) {
        auto of_lane = options;
        of_lane.lane = lane;
        listeners_.push_back(std::make_unique<engine::Listener>(
            std::move(of_lane), engine::Listener::Surroundings{
                                    [this, lane](std::int64_t& last_turn) { return open(lane, last_turn); },
                                    around_.publisher, around_.credit, around_.router.mailbox(lane),
                                    around_.clock, around_.tasks_ended, around_.stopping}));
    }
}

void Lanes::prepare() {
    for (auto& listener : listeners_) listener->prepare();
}

void Lanes::start() {
    for (auto& listener : listeners_) threads_.emplace_back([this, &listener] { run(*listener); });
}

void Lanes::join() {
    for (auto& thread : threads_) thread.join();
    threads_.clear();
}

void Lanes::run(engine::Listener& listener) const {
    try {
        listener.run();
        around_.ended(nullptr);
    } catch (...) {
        around_.ended(std::current_exception());
    }
}

std::unique_ptr<ports::Store> Lanes::open(int lane, std::int64_t& last_turn) {
    const store::Lane place{lane, around_.router.lanes()};
    auto store = lane == 0 && first_
                     ? std::move(first_)
                     : std::make_unique<store::TurnStore>(around_.database_url, around_.instance, place);
    last_turn = store->resume_epoch(epoch_);
    // After a lost connection the server may need a moment to notice that the old one, and its lock, are
    // gone. The other lanes need no lock: the epoch guards every turn, and goes with the lock.
    if (lane == 0 && !store->take_instance_lock()) {
        throw ports::DatabaseError(ports::DatabaseFault::connection,
                                   "the instance lock is still held: " + store->lock_holder());
    }
    return store;
}

bool Lanes::database_reachable() const {
    return std::all_of(listeners_.begin(), listeners_.end(),
                       [](const auto& listener) { return listener->counters().database_reachable.load(); });
}

nlohmann::json Lanes::counts() const {
    nlohmann::json sums = nlohmann::json::object();
    for (const auto& [name, counter] : kCounters) {
        std::int64_t sum = 0;
        for (const auto& listener : listeners_) sum += (listener->counters().*counter).load();
        sums[name] = sum;
    }
    return sums;
}

nlohmann::json Lanes::counts_by_lane() const {
    auto lanes = nlohmann::json::array();
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
        const auto& counters = listeners_[i]->counters();
        nlohmann::json lane = {{"lane", i},
                               {"database", counters.database_reachable ? "reachable" : "unreachable"}};
        for (const auto& [name, counter] : kCounters) lane[name] = (counters.*counter).load();
        lanes.push_back(std::move(lane));
    }
    return lanes;
}

}  // namespace tasker
