#include "orchestrator/core/sessions/shares.hpp"

#include <tuple>
#include <utility>

namespace tasker::core {
namespace {

struct Contender {
    std::int32_t used = 0;
    bool waits = false;
    int place = 0;  // in line for the odd piece
    bool is_asker = false;
};
using Contenders = std::array<Contender, kLanesMax>;

// There are eight at most, and usually one or two.
template <typename Before>
void sort_first(Contenders& list, std::size_t count, Before before) {
    for (std::size_t i = 1; i < count; ++i) {
        for (std::size_t j = i; j > 0 && before(list[j], list[j - 1]); --j) std::swap(list[j], list[j - 1]);
    }
}

}  // namespace

std::int32_t LaneShares::offer(int asker, std::int32_t free, std::uint32_t away) const {
    if (free <= 0) return 0;
    Contenders contenders;
    std::size_t count = 0;
    const bool asker_hungry = (*this)[asker].hungry;
    for (int lane = 0; lane < kLanesMax; ++lane) {
        const Lane& it = (*this)[lane];
        const bool waits = it.hungry || it.awaited;
        const bool busy = !asker_hungry && (it.in_flight > 0 || it.reserved > 0);
        if (lane != asker && ((away >> lane & 1U) != 0 || !(waits || busy))) continue;
        contenders[count++] = {it.in_flight + it.reserved, waits, (lane - first_ + kLanesMax) % kLanesMax,
                               lane == asker};
    }
    if (count == 1) return free;
    // Those with least first; among equals those that surely have work, then in turn.
    sort_first(contenders, count, [](const Contender& a, const Contender& b) {
        return std::tuple(a.used, !a.waits, a.place) < std::tuple(b.used, !b.waits, b.place);
    });
    // The water covers the first `wet` of them, up to `level`.
    std::int64_t sum = free;
    std::int64_t level = 0;
    std::size_t wet = 0;
    while (wet < count && (wet == 0 || contenders[wet].used * static_cast<std::int64_t>(wet) < sum)) {
        sum += contenders[wet].used;
        ++wet;
    }
    level = sum / static_cast<std::int64_t>(wet);
    auto odd = sum % static_cast<std::int64_t>(wet);
    sort_first(contenders, wet, [](const Contender& a, const Contender& b) {
        return std::tuple(!a.waits, a.place) < std::tuple(!b.waits, b.place);
    });
    for (std::size_t i = 0; i < wet; ++i) {
        const bool gets_odd = odd-- > 0;
        if (contenders[i].is_asker)
            return static_cast<std::int32_t>(level + (gets_odd ? 1 : 0) - contenders[i].used);
    }
    return 0;
}

}  // namespace tasker::core
