// What a session sets at once, and what it can only look at.
#pragma once

#include <string>

#include "orchestrator/postgres/connection.hpp"

namespace tasker::postgres {

/// The SET statements of a new session on a server of this version (150004). Whatever a role, a database,
/// a configuration file or the environment says, statements mean the same afterwards. `own_options` are the
/// server options the user gave: a time limit named there stays.
std::string session_settings(const ConnectionSettings& settings, const std::string& own_options,
                             int server_version);

/// Words what sql/ground.sql found.
Ground describe_ground(const Row& found);

}  // namespace tasker::postgres
