#include "orchestrator/engine/turns/locked_messages.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>
#include <variant>

namespace tasker::engine {
namespace {

// Empty for what is about no single step.
std::string key_of(const ports::Inbound& message) {
    const auto key = [](const std::string& batch_uuid, std::int64_t step_id) {
        return batch_uuid + ' ' + std::to_string(step_id);
    };
    if (const auto* start = std::get_if<ports::StartRequested>(&message))
        return key(start->batch_uuid, start->step_id);
    if (const auto* report = std::get_if<ports::Report>(&message)) {
        if (const auto* partial = std::get_if<protocol::PartialResult>(&report->message))
            return key(partial->batch_id, partial->step_id);
        if (const auto* rejected = std::get_if<protocol::BatchRejected>(&report->message))
            return key(rejected->batch_id, 0);
    }
    return {};
}

}  // namespace

void LockedMessages::add(const ports::Inbound& message, milliseconds now) {
    const std::string key = key_of(message);
    if (key.empty()) return;
    if (locked_.empty()) next_try_ = now + kTryLockedEvery;
    locked_[key] = now;
}

std::vector<ports::Inbound> LockedMessages::take_out(std::vector<ports::Inbound>& messages,
                                                     milliseconds now) {
    std::vector<ports::Inbound> taken;
    std::erase_if(locked_, [&](const auto& entry) { return now - entry.second >= kLockedKept; });
    if (locked_.empty()) return taken;
    const auto first = std::stable_partition(
        messages.begin(), messages.end(),
        [&](const ports::Inbound& message) { return !locked_.contains(key_of(message)); });
    std::move(first, messages.end(), std::back_inserter(taken));
    messages.erase(first, messages.end());
    return taken;
}

bool LockedMessages::may_try(milliseconds now) {
    if (now < next_try_) return false;
    next_try_ = now + kTryLockedEvery;
    return true;
}

void LockedMessages::end_try(const ports::Inbound& message, milliseconds began) {
    const auto found = locked_.find(key_of(message));
    if (found == locked_.end() || found->second >= began) return;
    locked_.erase(found);
    next_try_ = began;  // whoever held it has let go, perhaps of the others too
}

}  // namespace tasker::engine
