// What a lane is given, and what health and metrics read from it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "orchestrator/options/options.hpp"

namespace tasker::engine {

/// What a listener needs: who this orchestrator is, and the groups of settings as they were loaded.
struct ListenerOptions {
    std::string orchestrator_id;
    std::int64_t epoch = 0;
    int lane = 0;

    options::Database database;
    options::Timers timers;
    options::Delivery delivery;
    options::Limits limits;

    // No settings.
    std::chrono::milliseconds full_scan_every{5000};
    std::int64_t turn_bytes_max = std::int64_t{64} << 20;  // of the requests that one turn builds
};

/// Counted since start by the lane's thread, read by health and metrics from any thread.
struct ListenerCounters {
    std::atomic<std::int64_t> turns{0};
    std::atomic<std::int64_t> messages{0};
    std::atomic<std::int64_t> reports_applied{0};
    std::atomic<std::int64_t> steps_claimed{0};
    std::atomic<std::int64_t> messages_rejected{0};
    std::atomic<std::int64_t> turns_repeated{0};
    std::atomic<std::int64_t> reconnects{0};
    std::atomic<std::int64_t> commits_in_doubt{0};  // of them committed after all
    std::atomic<std::int64_t> orphans{0};
    std::atomic<std::int64_t> hand_backs{0};
    std::atomic<std::int64_t> starts_granted{0};
    std::atomic<std::int64_t> starts_denied{0};
    std::atomic<std::int64_t> discrepancies{0};
    std::atomic<std::int64_t> messages_deferred{0};  // their task was locked; their senders send them again
    std::atomic<std::int64_t> open_batches{0};
    std::atomic<bool> database_reachable{true};  // the service connected before it made the lane
};

}  // namespace tasker::engine
