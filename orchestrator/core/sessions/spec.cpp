#include "orchestrator/core/sessions/spec.hpp"

#include <algorithm>
#include <limits>

namespace tasker::core {
namespace {

bool contains(const std::vector<DeliveredRef>& refs, std::string_view batch_uuid, std::int64_t step_id) {
    return std::any_of(refs.begin(), refs.end(), [&](const DeliveredRef& ref) {
        return ref.step_id == step_id && ref.batch_uuid == batch_uuid;
    });
}

bool matches_pattern(std::string_view pattern, std::string_view text) {
    if (!pattern.empty() && pattern.back() == '*') {
        pattern.remove_suffix(1);
        return text.substr(0, pattern.size()) == pattern;
    }
    return pattern == text;
}

}  // namespace

bool Inventory::lists(std::string_view batch_uuid, std::int64_t step_id) const {
    return occupies(batch_uuid, step_id) || contains(unacked, batch_uuid, step_id);
}

bool Inventory::occupies(std::string_view batch_uuid, std::int64_t step_id) const {
    return contains(held, batch_uuid, step_id) || contains(running, batch_uuid, step_id);
}

InventoryIndex::InventoryIndex(const Inventory& inventory) {
    steps_.reserve(inventory.held.size() + inventory.running.size() + inventory.unacked.size());
    for (const DeliveredRef& ref : inventory.unacked)
        steps_.emplace(std::pair(std::string_view(ref.batch_uuid), ref.step_id), false);
    for (const auto* refs : {&inventory.held, &inventory.running}) {
        for (const DeliveredRef& ref : *refs)
            steps_.insert_or_assign(std::pair(std::string_view(ref.batch_uuid), ref.step_id), true);
    }
}

bool matches_any(const std::vector<std::string>& patterns, std::string_view text) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return matches_pattern(pattern, text); });
}

std::int32_t credit_limit(const SessionSpec& spec) {
    const std::int64_t limit =
        std::max<std::int64_t>(spec.capacity, 0) * std::max<std::int64_t>(spec.prefetch, 1);
    return static_cast<std::int32_t>(std::min<std::int64_t>(limit, std::numeric_limits<std::int32_t>::max()));
}

}  // namespace tasker::core
