// Where the end of tasks is announced.
#pragma once

#include <string>

#include "orchestrator/postgres/connection.hpp"

namespace tasker::api {

/// The channel to LISTEN on, one for each installation of a database. Payloads are task ids; they only
/// inform, the database has the state. Throws DatabaseError.
std::string done_channel(postgres::Connection& connection);

}  // namespace tasker::api
