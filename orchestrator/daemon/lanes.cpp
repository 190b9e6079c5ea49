#include "orchestrator/daemon/lanes.hpp"

#include <utility>

#include "orchestrator/ports/database_error.hpp"

namespace tasker {
Lanes::Lanes(const engine::ListenerOptions& options, Dependencies dependencies,
             std::unique_ptr<store::TurnStore> first)
    : deps_(std::move(dependencies)), epoch_(options.epoch), first_(std::move(first)) {
    for (int lane = 0; lane < deps_.router.lanes(); ++lane) {
        auto of_lane = options;
        of_lane.lane = lane;
        listeners_.push_back(std::make_unique<engine::Listener>(
            std::move(of_lane),
            engine::Listener::Dependencies{
                [this, lane](std::int64_t& last_turn) { return open(lane, last_turn); }, deps_.publisher,
                deps_.credit, deps_.router.mailbox(lane), deps_.clock, deps_.tasks_ended, deps_.stopping}));
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
        deps_.ended(nullptr);
    } catch (...) {
        deps_.ended(std::current_exception());
    }
}

std::unique_ptr<ports::Store> Lanes::open(int lane, std::int64_t& last_turn) {
    const store::Lane place{lane, deps_.router.lanes()};
    auto store = lane == 0 && first_
                     ? std::move(first_)
                     : std::make_unique<store::TurnStore>(deps_.database, deps_.instance, place);
    last_turn = store->resume_epoch(epoch_);
    // After a lost connection the server may need a moment to notice that the old one, and its lock, are
    // gone. The other lanes need no lock: the epoch guards every turn, and goes with the lock.
    if (lane == 0 && !store->take_instance_lock()) {
        throw ports::DatabaseError(ports::DatabaseFault::refused,
                                   "the instance lock is still held: " + store->lock_holder());
    }
    return store;
}

std::vector<const engine::ListenerCounters*> Lanes::counters() const {
    std::vector<const engine::ListenerCounters*> counters;
    for (const auto& listener : listeners_) counters.push_back(&listener->counters());
    return counters;
}

}  // namespace tasker
