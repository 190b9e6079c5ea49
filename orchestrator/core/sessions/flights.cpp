#include "orchestrator/core/sessions/flights.hpp"

#include <algorithm>
#include <utility>

namespace tasker::core {

std::int32_t FlightTable::add(TakenBatch batch, bool holds_credit) {
    auto [place, added] = flights_.try_emplace(std::move(batch.batch_uuid));
    if (!added) return 0;
    Flight& flight = place->second;
    flight.session = std::move(batch.session);
    flight.handler_class = std::move(batch.handler_class);
    flight.lane = batch.lane;
    std::sort(batch.step_ids.begin(), batch.step_ids.end());
    batch.step_ids.erase(std::unique(batch.step_ids.begin(), batch.step_ids.end()), batch.step_ids.end());
    flight.slots.reserve(batch.step_ids.size());
    for (const std::int64_t step_id : batch.step_ids) {
        flight.slots.push_back(Slot{.step_id = step_id, .holds_credit = holds_credit});
    }
    return holds_credit ? static_cast<std::int32_t>(flight.slots.size()) : 0;
}

FlightTable::Slot* FlightTable::find_slot(Flight& flight, std::int64_t step_id) {
    const auto slot = std::lower_bound(flight.slots.begin(), flight.slots.end(), step_id,
                                       [](const Slot& s, std::int64_t id) { return s.step_id < id; });
    return slot != flight.slots.end() && slot->step_id == step_id ? &*slot : nullptr;
}

Freed FlightTable::reported(std::string_view batch_uuid, std::int64_t step_id, bool still_running) {
    const auto flight = flights_.find(batch_uuid);
    if (flight == flights_.end()) return {};
    Freed freed{0, &flight->second.session, flight->second.lane};
    Slot* slot = find_slot(flight->second, step_id);
    if (slot == nullptr || slot->reported) return freed;
    slot->reported = true;
    if (still_running && slot->holds_credit) {
        slot->still_running = true;
        ++still_running_;
        return freed;
    }
    freed.credit = std::exchange(slot->holds_credit, false) ? 1 : 0;
    return freed;
}

std::int32_t FlightTable::reported_all(std::string_view batch_uuid) {
    const auto found = flights_.find(batch_uuid);
    if (found == flights_.end()) return 0;
    std::int32_t freed = 0;
    for (Slot& slot : found->second.slots) {
        slot.reported = true;
        if (!slot.still_running && std::exchange(slot.holds_credit, false)) ++freed;
    }
    return freed;
}

void FlightTable::reopen(std::string_view batch_uuid, std::int64_t step_id) {
    const auto found = flights_.find(batch_uuid);
    if (found == flights_.end() || found->second.forgotten) return;
    Slot* slot = find_slot(found->second, step_id);
    // What still runs keeps its credit until it is not listed any more, whatever is said of it.
    if (slot != nullptr && !slot->still_running) slot->reported = false;
}

std::int32_t FlightTable::forget(std::string_view batch_uuid) {
    const auto found = flights_.find(batch_uuid);
    if (found == flights_.end()) return 0;
    const std::int32_t freed = reported_all(batch_uuid);
    auto& slots = found->second.slots;
    if (std::none_of(slots.begin(), slots.end(), [](const Slot& slot) { return slot.still_running; })) {
        flights_.erase(found);
    } else {
        found->second.forgotten = true;
    }
    return freed;
}

std::int32_t FlightTable::release_unlisted(std::string_view session, const Inventory& inventory) {
    if (still_running_ == 0) return 0;
    const InventoryIndex listed(inventory);
    std::int32_t freed = 0;
    for (auto place = flights_.begin(); place != flights_.end();) {
        Flight& flight = place->second;
        bool any_running = false;
        if (flight.session == session) {
            for (Slot& slot : flight.slots) {
                if (!slot.still_running) continue;
                if (listed.occupies(place->first, slot.step_id)) {
                    any_running = true;
                    continue;
                }
                slot.still_running = false;
                slot.holds_credit = false;
                --still_running_;
                ++freed;
            }
        } else {
            any_running = true;
        }
        place = flight.forgotten && !any_running ? flights_.erase(place) : std::next(place);
    }
    return freed;
}

std::int32_t FlightTable::release_session(std::string_view session) {
    std::int32_t freed = 0;
    for (auto place = flights_.begin(); place != flights_.end();) {
        Flight& flight = place->second;
        if (flight.session != session) {
            ++place;
            continue;
        }
        for (Slot& slot : flight.slots) {
            if (std::exchange(slot.still_running, false)) --still_running_;
            if (std::exchange(slot.holds_credit, false)) ++freed;
        }
        place = flight.forgotten ? flights_.erase(place) : std::next(place);
    }
    return freed;
}

std::int32_t FlightTable::retake(std::string_view session, const Inventory& inventory) {
    std::int32_t taken = 0;
    for (const auto* refs : {&inventory.held, &inventory.running}) {
        for (const DeliveredRef& ref : *refs) {
            const auto flight = flights_.find(ref.batch_uuid);
            if (flight == flights_.end() || flight->second.session != session) continue;
            Slot* slot = find_slot(flight->second, ref.step_id);
            if (slot == nullptr || slot->reported || slot->holds_credit) continue;
            slot->holds_credit = true;
            ++taken;
        }
    }
    return taken;
}

bool FlightTable::record_running(std::string_view batch_uuid, std::int64_t step_id) {
    const auto flight = flights_.find(batch_uuid);
    if (flight == flights_.end()) return false;
    Slot* slot = find_slot(flight->second, step_id);
    return slot != nullptr && !slot->reported && !std::exchange(slot->running_seen, true);
}

bool FlightTable::expects(std::string_view batch_uuid, std::int64_t step_id) const {
    const auto found = flights_.find(batch_uuid);
    if (found == flights_.end() || found->second.forgotten) return false;
    const auto& slots = found->second.slots;
    return std::any_of(slots.begin(), slots.end(),
                       [&](const Slot& slot) { return slot.step_id == step_id && !slot.reported; });
}

std::vector<std::string> FlightTable::open_batches(int lane) const {
    std::vector<std::string> uuids;
    for (const auto& [uuid, flight] : flights_) {
        if (!flight.forgotten && flight.lane == lane) uuids.push_back(uuid);
    }
    return uuids;
}

std::vector<std::string> FlightTable::sessions() const {
    std::vector<std::string> names;
    for (const auto& [uuid, flight] : flights_) {
        if (!flight.session.empty()) names.push_back(flight.session);
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

std::vector<std::int64_t> FlightTable::unreported(std::string_view batch_uuid) const {
    std::vector<std::int64_t> step_ids;
    const auto found = flights_.find(batch_uuid);
    if (found == flights_.end()) return step_ids;
    for (const Slot& slot : found->second.slots) {
        if (!slot.reported) step_ids.push_back(slot.step_id);
    }
    return step_ids;
}

const std::string* FlightTable::session_of(std::string_view batch_uuid) const {
    const auto found = flights_.find(batch_uuid);
    return found == flights_.end() ? nullptr : &found->second.session;
}

const std::string* FlightTable::handler_class_of(std::string_view batch_uuid) const {
    const auto found = flights_.find(batch_uuid);
    return found == flights_.end() ? nullptr : &found->second.handler_class;
}

int FlightTable::lane_of(std::string_view batch_uuid) const {
    const auto found = flights_.find(batch_uuid);
    return found == flights_.end() ? 0 : found->second.lane;
}

std::int32_t FlightTable::held_by(const Flight& flight) {
    return static_cast<std::int32_t>(std::count_if(flight.slots.begin(), flight.slots.end(),
                                                   [](const Slot& slot) { return slot.holds_credit; }));
}

std::array<std::int32_t, kLanesMax> FlightTable::count_held_by_lane(std::string_view session) const {
    std::array<std::int32_t, kLanesMax> held{};
    for (const auto& [batch_uuid, flight] : flights_) {
        if (flight.session == session) held[static_cast<std::size_t>(flight.lane)] += held_by(flight);
    }
    return held;
}

}  // namespace tasker::core
