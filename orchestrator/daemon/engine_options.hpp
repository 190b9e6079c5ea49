// The settings as the engine takes them: whole groups, together with who this orchestrator is.
#pragma once

#include <cstdint>
#include <string>

#include "orchestrator/engine/io/options.hpp"
#include "orchestrator/engine/turns/lane_router.hpp"
#include "orchestrator/engine/turns/listener.hpp"
#include "orchestrator/options/options.hpp"
#include "orchestrator/postgres/connection.hpp"

namespace tasker {

engine::IoOptions io_options(const options::Options& options, const std::string& instance,
                             std::int64_t epoch);

/// Those of every lane; the lane's own number is added by Lanes.
engine::ListenerOptions listener_options(const options::Options& options, const std::string& instance,
                                         std::int64_t epoch);

/// The mailboxes of all lanes, as many and as large as the settings say.
engine::LaneRouter lane_router(const options::Options& options);

/// database.url and database.connect_timeout_ms: every connection of the orchestrator is made to it, and none
/// keeps it waiting once `stop_fd` is readable.
postgres::Address database_address(const options::Database& database, int stop_fd = -1);

}  // namespace tasker
