// What main gives the io loop, and what the io loop lets others read.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "orchestrator/core/sessions/registry.hpp"
#include "orchestrator/engine/io/bucket.hpp"
#include "orchestrator/options/options.hpp"
#include "protocol/cpp/messages.hpp"

namespace tasker::engine {

using std::chrono::milliseconds;

/// How much one connection may make the io thread do: far above what any worker needs, or a relay of many.
struct PeerLimits {
    Allowance frames{200'000, 50'000};
    Allowance bytes{1024.0 * 1024 * 1024, 256.0 * 1024 * 1024};
    // Frames that serve nothing: malformed, of unknown batches, or the same again. What serves earns more.
    Allowance useless{20'000, 500};
    double useless_earned = 2;
    Allowance hellos{5000, 500};
    // Frames without outputs: to work off an inventory costs ten times as much as a result of its size.
    Allowance words_bytes{32.0 * 1024 * 1024, 8.0 * 1024 * 1024};
    // What hellos announce, for as long as their sessions are known.
    std::size_t announced_bytes_of_peer = std::size_t{8} * 1024 * 1024;
    std::size_t announced_bytes = std::size_t{32} * 1024 * 1024;
    Allowance subscriptions{10'000, 10};
    int rejected_rows_per_minute = 60;  // of one peer and code; from everybody ten times as many
};

/// What the io loop needs: who this orchestrator is, and the groups of settings as they were loaded. Every
/// default is that of the settings.
struct IoOptions {
    std::string orchestrator_id;
    std::int64_t epoch = 0;
    std::string installation;  // the database's uuid, which workers tell installations apart by
    int lanes = 1;

    options::Endpoints endpoints;  // only what is bound; `connect` is for workers
    options::Timers timers;
    options::Delivery delivery;
    options::Limits limits;

    // No settings: tests shorten them.
    milliseconds held_limit{10000};    // held with free slots for longer: called in
    milliseconds refused_retry{1000};  // announced with a refusal
    PeerLimits peers;
};

/// Steps that one session has in hand at most, whatever it announces: so many references, and as many reports
/// as an outbox holds, fit into one inventory (kInventoryBytesMax).
inline constexpr std::int32_t kStepsInHandMax = 20'000;

/// A session must show what it has in hand, with a heartbeat made after a recent one of this orchestrator, at
/// least this often. Far longer than frames wait in queues.
inline constexpr int kUnprovenLeases = 8;
inline constexpr milliseconds kUnprovenMin{60'000};

/// Largest frame of a worker: with results, and without.
constexpr std::int64_t result_frame_bytes_max(const options::Limits& limits) {
    return limits.result_bytes + static_cast<std::int64_t>(protocol::kEnvelopeBytesMax);
}
constexpr std::int64_t plain_frame_bytes_max(const options::Limits& limits) {
    return std::max(result_frame_bytes_max(limits), static_cast<std::int64_t>(protocol::kInventoryBytesMax));
}
/// libzmq ends the connection of whoever sends a larger one, and nobody learns why. So up to twice the limits
/// is read, and refused by name.
constexpr std::int64_t received_frame_bytes_max(const options::Limits& limits) {
    return 2 * plain_frame_bytes_max(limits);
}

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
    std::atomic<std::int64_t> frames_too_large{0};   // among them, and among the reports
    std::atomic<std::int64_t> malformed_dropped{0};  // not recorded, for the same reason
    std::atomic<std::int64_t> frames_flooded{0};     // beyond their peer's allowance: dropped unread
    std::atomic<std::int64_t> connections_cut{0};    // subscribed to what is not theirs, or without end
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
