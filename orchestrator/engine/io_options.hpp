// What main gives the io loop, and what the io loop lets others read.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "orchestrator/core/session_registry.hpp"
#include "protocol/cpp/messages.hpp"

namespace tasker::engine {

using std::chrono::milliseconds;

/// Settings of the io loop. Defaults are those of the settings (system.md §8.6); main fills all of them.
struct IoOptions {
    std::string orchestrator_id;
    std::int64_t epoch = 0;
    int lanes = 1;

    std::string steps_endpoint;
    std::string results_endpoint;
    std::string command_endpoint;

    milliseconds heartbeat{1000};
    milliseconds suspect_after{3000};
    milliseconds lease{8000};
    milliseconds disconnect_grace{2000};
    milliseconds accept_timeout{2000};
    milliseconds start_window{1000};   // announced with each grant
    milliseconds held_limit{10000};    // held with free slots for longer: called in
    milliseconds resend{1000};         // announced to workers: first interval of their outbox
    milliseconds refused_retry{1000};  // announced with a refusal
    int accept_resends = 2;

    int step_queue_hwm = 1000;
    std::int32_t plain_batch_steps_max = 10;  // batch_size
    protocol::Limits limits;
};

/// The registry's share of the options. The nonce prefix makes probes of different lives differ.
core::RegistrySettings registry_settings(const IoOptions& options);

/// Counted since start by the io thread, read by health and metrics from any thread.
struct IoCounters {
    std::atomic<std::int64_t> batches_sent{0};    // first sends
    std::atomic<std::int64_t> batches_resent{0};  // not accepted in time, or unknown to a returned session
    std::atomic<std::int64_t> batches_undelivered{0};
    std::atomic<std::int64_t> sends_blocked{0};  // a peer's queue was full
    std::atomic<std::int64_t> reports_received{0};
    std::atomic<std::int64_t> reports_dropped{
        0};  // the queue to the listener was full; the outbox sends again
    std::atomic<std::int64_t> malformed{0};
    std::atomic<std::int64_t> malformed_dropped{0};  // not recorded, for the same reason
    std::atomic<std::int64_t> late{0};               // of batches or sessions that are not known any more
    std::atomic<std::int64_t> heartbeats_sent{0};
    std::atomic<std::int64_t> heartbeats_received{0};
    std::atomic<std::int64_t> acks_sent{0};
    std::atomic<std::int64_t> commands{0};
    std::atomic<std::int64_t> start_requests{0};
    std::atomic<std::int64_t> stale_cancelled{0};  // steps that are over, found in inventories
    std::atomic<std::int64_t> pauses_detected{0};
    std::atomic<std::int64_t> credit_in_flight{0};
    std::atomic<std::int64_t> open_batches{0};  // sent or adopted, not forgotten
};

/// `counter` is written by the io thread only, so a plain add is enough and costs no bus lock.
inline void count(std::atomic<std::int64_t>& counter, std::int64_t by = 1) {
    counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

}  // namespace tasker::engine
