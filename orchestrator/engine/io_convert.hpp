// Wire messages in the registry's own words.
#pragma once

#include "orchestrator/core/session_spec.hpp"
#include "protocol/cpp/messages.hpp"

namespace tasker::engine {

core::SessionSpec to_spec(const protocol::Hello& hello);
core::Inventory to_inventory(const protocol::Ready& ready);
core::Inventory to_inventory(const protocol::WorkerHeartbeat& heartbeat);

}  // namespace tasker::engine
