// The sign of life of an orchestrator, in the rows of all its lanes.
#pragma once

#include <cstdint>

#include "orchestrator/ports/store.hpp"
#include "orchestrator/store/connection.hpp"

namespace tasker::store {

/// Refreshes last_seen_at of every lane of this epoch; throws EpochLost when none is left. A row that is
/// locked belongs to a turn under way, which refreshes it itself: waiting for one would hold up the others.
inline void say_alive(Connection& connection, std::int64_t epoch) {
    const auto rows = connection.query(
        "WITH idle AS (SELECT lane FROM tasker_orchestrators WHERE epoch = $1 FOR UPDATE SKIP LOCKED), alive "
        "AS ("
        " UPDATE tasker_orchestrators o SET last_seen_at = clock_timestamp() FROM idle WHERE o.lane = "
        "idle.lane)"
        " SELECT 1 FROM tasker_orchestrators WHERE epoch = $1 LIMIT 1",
        epoch);
    if (rows.empty()) throw ports::EpochLost{};
}

}  // namespace tasker::store
