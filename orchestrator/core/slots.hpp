// The order in which free credit is filled, so that sessions that serve the same keys share the work by load.
#pragma once

#include <cstddef>
#include <vector>

namespace tasker::core {

/// A session's credit as a turn sees it. All counts in steps.
struct SessionCredit {
    int free = 0;
    int in_flight = 0;
    int capacity = 1;
};

/// Indexes into `sessions`, one per free slot, at most `slots_max`: the session with the smallest load
/// (in flight ÷ capacity) comes first and gets a run of up to `run_max` slots (never more than half its
/// capacity, at least one), so that batches stay whole without starving the others. Pure and deterministic.
std::vector<std::size_t> slot_order(std::vector<SessionCredit> sessions, int run_max, std::size_t slots_max);

}  // namespace tasker::core
