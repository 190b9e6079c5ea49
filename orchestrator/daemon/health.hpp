// The health document that the command endpoint answers with.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "orchestrator/core/sessions/registry.hpp"
#include "orchestrator/engine/io/options.hpp"
#include "orchestrator/engine/turns/listener.hpp"

namespace tasker {

/// The facts that the document is made of. The counters belong to running threads and outlive the call.
struct HealthFacts {
    std::string instance;
    std::int64_t epoch = 0;
    std::chrono::milliseconds uptime{0};
    std::vector<const engine::ListenerCounters*> lanes;  // in their order
    const engine::IoCounters& io;
    std::function<std::vector<core::SessionView>()> sessions;  // asked only for a detailed document
};

/// status ("healthy", or "degraded" while any lane has lost the database), database, instance, epoch,
/// uptime_ms. With `detailed` also: listener (the counters of all lanes together), lanes[] (one by one), io,
/// workers[] {session, worker_id, language, state, in_flight, capacity}.
nlohmann::json health_document(const HealthFacts& facts, bool detailed);

/// The document of a standby: it serves nobody and has no counters.
nlohmann::json standby_health_document(const std::string& instance);

}  // namespace tasker
