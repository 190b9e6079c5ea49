// How the lanes of this orchestrator share the credit of one session.
//
// Free credit is poured like water: first to the lane that has least of the session, until all that contend
// have the same or it is used up. So each lane gets back what its own reports free, a lane that comes new to
// a busy session catches up within one round of reports, and a lane that alone has work gets everything. The
// odd piece goes round: the lane that took last is last in line. A session of capacity 1 is nothing but an
// odd piece.
//
// A lane contends when it is
//   hungry   work for this session waited when it last settled, or
//   awaited  a report of its own has freed credit and is on its way to it: it will reserve in a moment.
// A lane that is not hungry itself (its messages may or may not make work ready) counts as a competitor also
// one that is
//   busy     it has something in flight or reserved here.
// A hungry lane waits for a busy one no longer than one turn of it. Pure bookkeeping.
#pragma once

#include <array>
#include <cstdint>

#include "orchestrator/core/lanes.hpp"

namespace tasker::core {

class LaneShares {
  public:
    struct Lane {
        std::int32_t in_flight = 0;
        std::int32_t reserved = 0;
        bool hungry = false;
        bool awaited = false;
    };

    Lane& operator[](int lane) { return lanes_[static_cast<std::size_t>(lane)]; }
    const Lane& operator[](int lane) const { return lanes_[static_cast<std::size_t>(lane)]; }

    /// What of `free` the lane may take now. Bits of `away` are lanes that cannot work at all.
    std::int32_t offer(int lane, std::int32_t free, std::uint32_t away) const;
    /// The lane waits, nothing is on its way to it, and there is something for it: somebody has to wake it.
    bool must_wake(int lane, std::int32_t free, std::uint32_t away) const {
        const Lane& it = (*this)[lane];
        return free > 0 && it.hungry && !it.awaited && offer(lane, free, away) > 0;
    }
    /// The lane took something: the others come first now.
    void record_taken(int lane) { first_ = (lane + 1) % kLanesMax; }

  private:
    std::array<Lane, kLanesMax> lanes_{};
    int first_ = 0;  // for the odd piece
};

}  // namespace tasker::core
