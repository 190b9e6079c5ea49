#include "orchestrator/engine/io/inventory.hpp"

#include <map>
#include <string_view>
#include <utility>

#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;

void IoInventory::check(const protocol::WorkerHeartbeat& heartbeat, const core::Inventory& inventory,
                        milliseconds now) {
    cancel_stale(heartbeat);
    check_held(heartbeat, now);
    dispatch_.find_absent(heartbeat.session, inventory, heartbeat.seen_n);
}

void IoInventory::forget(std::string_view session) {
    if (const auto found = held_.find(session); found != held_.end()) held_.erase(found);
}

// A worker that was thought dead goes on with attempts that are over, and one whose step timed out may still
// run it. Told again with each heartbeat until it stops: the cancellation itself may be lost.
void IoInventory::cancel_stale(const protocol::WorkerHeartbeat& heartbeat) {
    protocol::Cancel cancel;
    const auto look_at = [&](const auto& refs) {
        for (const auto& ref : refs) {
            if ((trusted_ >> core::lane_of_batch(ref.batch_id, options_.lanes) & 1U) == 0) continue;
            const bool expected = registry_.with([&](const core::SessionRegistry& registry) {
                const std::string* owner = registry.flights().session_of(ref.batch_id);
                return owner != nullptr && *owner == heartbeat.session &&
                       registry.flights().expects(ref.batch_id, ref.step_id);
            });
            if (!expected) cancel.steps.push_back({ref.batch_id, ref.step_id, ref.attempt});
        }
    };
    look_at(heartbeat.held);
    look_at(heartbeat.running);
    if (cancel.steps.empty()) return;
    cancel.session = heartbeat.session;
    cancel.reason = "stale";
    count(counters_.stale_cancelled, static_cast<std::int64_t>(cancel.steps.size()));
    sender_.control(heartbeat.session, cancel);
}

void IoInventory::check_held(const protocol::WorkerHeartbeat& heartbeat, milliseconds now) {
    if (heartbeat.held.empty() || heartbeat.free <= 0) {
        forget(heartbeat.session);
        return;
    }
    const auto place = held_.find(heartbeat.session);
    const std::vector<Held> before = place == held_.end() ? std::vector<Held>{} : std::move(place->second);
    std::map<std::pair<std::string_view, std::int64_t>, const Held*> known;
    for (const Held& entry : before)
        known.emplace(std::pair(std::string_view(entry.ref.batch_uuid), entry.ref.step_id), &entry);
    std::vector<Held> held;
    held.reserve(heartbeat.held.size());
    for (const auto& ref : heartbeat.held) {
        const auto found = known.find({std::string_view(ref.batch_id), ref.step_id});
        Held entry = found == known.end() ? Held{{ref.batch_id, ref.step_id}, now, false} : *found->second;
        if (now - entry.since >= options_.held_limit) {
            log::warning("a worker holds a step without starting it, although it has free slots",
                         {{"session", heartbeat.session}, {"batch", ref.batch_id}, {"step_id", ref.step_id}});
            post_.event(ports::HeldTooLong{heartbeat.session, ref.batch_id, ref.step_id, entry.called});
            entry.called = true;
            entry.since = now;
        }
        held.push_back(std::move(entry));
    }
    held_.insert_or_assign(heartbeat.session, std::move(held));
}

}  // namespace tasker::engine
