// The databases of a server.
#pragma once

#include <string>

#include "orchestrator/postgres/connection.hpp"

namespace tasker::postgres {

/// Creates the database `name` beside the connection's own, unless there is one of that name. Throws
/// DatabaseError.
inline void ensure_database(Connection& connection, const std::string& name) {
    if (!connection.query("SELECT 1 FROM pg_database WHERE datname = $1", name).empty()) return;
    const auto quoted = connection.query("SELECT quote_ident($1)", name);
    connection.execute(std::string("CREATE DATABASE ") + quoted[0][0].c_str());
}

}  // namespace tasker::postgres
