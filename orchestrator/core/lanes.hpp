// The agreement of all parts about lanes: how many there may be, and which one a batch belongs to.
#pragma once

#include <algorithm>
#include <string_view>

namespace tasker::core {

/// As many as one hex digit of a batch uuid tells apart, halved: more never pay on one database.
inline constexpr int kLanesMax = 8;

/// A batch belongs for its life to the lane whose number stands in its uuid (xxxxxxxx-xxxx-7xxx-8Lxx-…),
/// taken modulo the lanes there are now, so that a changed setting finds an owner for old batches. Any
/// other text belongs to lane 0. The store's queries have the same rule in SQL.
inline int lane_of_batch(std::string_view batch_uuid, int lanes) {
    constexpr std::size_t kPlace = 20;
    constexpr std::string_view kDigits = "0123456789abcdef";
    if (batch_uuid.size() <= kPlace) return 0;
    const auto digit = kDigits.find(batch_uuid[kPlace]);
    return digit == std::string_view::npos ? 0 : static_cast<int>(digit) % std::max(1, lanes);
}

}  // namespace tasker::core
