// The sign of life of an orchestrator, in the rows of all its lanes.
#pragma once

#include <cstdint>

#include "orchestrator/ports/store.hpp"
#include "orchestrator/postgres/connection.hpp"
#include "orchestrator/store/sql.hpp"

namespace tasker::store {

/// Refreshes last_seen_at of every lane of this epoch; throws EpochLost when none is left. A row that is
/// locked belongs to a turn under way, which refreshes it itself: waiting for one would hold up the others.
inline void refresh_alive(postgres::Connection& connection, std::int64_t epoch) {
    const auto rows = connection.query(sql::refresh_alive, epoch);
    if (rows.empty()) throw ports::EpochLost{};
}

}  // namespace tasker::store
