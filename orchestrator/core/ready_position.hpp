// Where a ready step stands in the order in which steps of one handler key are claimed.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <limits>

namespace tasker::core {

/// Priority first (falling), then age (step ids rise). The default comes before every step. A claim takes the
/// steps of a key from the front, so that everything before a known position has been taken: looking only
/// from there on keeps a claim as cheap as it was when dead entries of the index cannot be removed, because
/// somebody holds an old snapshot.
struct ReadyPosition {
    std::int32_t falling_priority = std::numeric_limits<std::int32_t>::min();  // -priority
    std::int64_t step_id = 0;

    static ReadyPosition of(std::int32_t priority, std::int64_t step_id) { return {-priority, step_id}; }
    /// Behind every step.
    static ReadyPosition end() {
        return {std::numeric_limits<std::int32_t>::max(), std::numeric_limits<std::int64_t>::max()};
    }
    ReadyPosition after() const { return {falling_priority, step_id + 1}; }
    auto operator<=>(const ReadyPosition&) const = default;
};

}  // namespace tasker::core
