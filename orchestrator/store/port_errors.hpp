// The store's failures as the engine knows them.
#pragma once

#include <string>
#include <utility>

#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/ports/store.hpp"
#include "orchestrator/store/connection.hpp"

namespace tasker::store {

/// Sqlstate that tasker_turn() raises when its epoch is over.
inline constexpr const char* kEpochLostState = "TK001";
/// Sqlstate of a lock that was not to be had within the lane's lock_timeout.
inline constexpr const char* kLockTimeoutState = "55P03";

/// Whether the statement's own data is at fault: data exception (22), integrity (23), program limit (54), or
/// a refusal that did not come from the server. Everything else (disk full, cancelled, read-only, locked) may
/// pass, and whoever takes it for a bad message would lose a good one: reconnect and try again.
inline bool is_about_data(const std::string& sqlstate) {
    return sqlstate.empty() || sqlstate.starts_with("22") || sqlstate.starts_with("23") ||
           sqlstate.starts_with("54");
}

/// Runs `action`; a DatabaseError becomes ports::DatabaseError, or ports::EpochLost.
template <typename Action>
auto with_port_errors(Action&& action) {
    try {
        return std::forward<Action>(action)();
    } catch (const DatabaseError& error) {
        if (error.sqlstate() == kEpochLostState) throw ports::EpochLost{};
        auto fault =
            is_about_data(error.sqlstate()) ? ports::DatabaseFault::data : ports::DatabaseFault::connection;
        if (error.connection_is_gone()) fault = ports::DatabaseFault::connection;
        if (error.sqlstate() == kLockTimeoutState) fault = ports::DatabaseFault::locked;
        if (error.kind() == DbFailure::retryable) fault = ports::DatabaseFault::repeatable;
        throw ports::DatabaseError(fault, error.what());
    }
}

}  // namespace tasker::store
