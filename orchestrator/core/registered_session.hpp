// One session as the registry keeps it. For others it is a handle only: an offer of credit holds on to it, so
// that settling need not search, also when the registry has forgotten the session meanwhile.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "orchestrator/core/lane_shares.hpp"
#include "orchestrator/core/session_spec.hpp"
#include "orchestrator/core/session_states.hpp"

namespace tasker::core {

using std::chrono::milliseconds;

struct RegisteredSession {
    explicit RegisteredSession(std::string id) : name(std::move(id)) {}

    const std::string name;  // may be read at any time, by whoever holds an offer
    SessionSpec spec;
    SessionState state = SessionState::greeted;
    bool subscribed = false;
    bool paused = false;
    bool said_goodbye = false;
    bool drained = false;
    milliseconds last_heard{0};
    std::optional<milliseconds> unsubscribed_at;  // its grace runs
    milliseconds lost_at{0};
    milliseconds probe_at{0};          // first sending or repetition of the open probe
    milliseconds probe_not_before{0};  // after an ignored batch
    milliseconds probe_delay{0};       // of the last ignored batch
    std::string nonce;                 // of the open probe, empty when none is
    std::int32_t in_flight = 0;
    std::int32_t reserved = 0;
    LaneShares shares;
    std::uint32_t hungry_lanes = 0;  // those of `shares` that are hungry, as bits
    std::int32_t excess = 0;         // in flight beyond the limit that was found, not given
    std::vector<std::string> removed_handlers;
    bool forgotten = false;  // no longer in the registry; an offer may still hold on to it
};

}  // namespace tasker::core
