// Wire messages in the registry's own words.
#pragma once

#include "orchestrator/core/sessions/spec.hpp"
#include "orchestrator/engine/io/options.hpp"
#include "protocol/cpp/messages.hpp"

namespace tasker::engine {

/// As far as the settings allow: capacity up to limits.capacity, and capacity × prefetch up to kStepsInHandMax.
/// delivery.prefetch holds for a session whose hello names none.
core::SessionSpec to_spec(const protocol::Hello& hello, const IoOptions& options);
core::Inventory to_inventory(const protocol::Ready& ready);
core::Inventory to_inventory(const protocol::WorkerHeartbeat& heartbeat);

}  // namespace tasker::engine
