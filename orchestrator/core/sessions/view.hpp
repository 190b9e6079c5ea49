// The worker list: one row for each session that is known.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "orchestrator/core/sessions/credit.hpp"
#include "orchestrator/core/sessions/life.hpp"
#include "orchestrator/core/sessions/spec.hpp"
#include "orchestrator/core/sessions/states.hpp"

namespace tasker::core {

/// One row of the worker list. `spec.handlers` are those that the session serves now: a class that it
/// rejected as unknown is not listed, or follows as "!name" where a wildcard covers it.
struct SessionView {
    SessionSpec spec;
    SessionState state = SessionState::greeted;
    bool subscribed = false;
    milliseconds heartbeat_age{0};
    std::int32_t in_flight = 0;
    std::int32_t reserved = 0;
    std::int32_t limit = 0;
    FaultCounts faults{};
    std::int32_t free = 0;  // open to turns; credit that a turn reserves just now counts as free
};

/// Ordered by session id.
std::vector<SessionView> list_sessions(const SessionLife& life, const CreditLedger& ledger, milliseconds now);

}  // namespace tasker::core
