// The store's failures as the engine knows them.
#pragma once

#include <string>
#include <utility>

#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/ports/store.hpp"
#include "orchestrator/postgres/connection.hpp"

namespace tasker::store {

/// Sqlstate that tasker_turn() raises when its epoch is over.
inline constexpr const char* kEpochLostState = "TK001";
/// Sqlstate of a lock that was not to be had within the lane's lock_timeout.
inline constexpr const char* kLockTimeoutState = "55P03";

/// The fault by what the failure means. Only `data` may be blamed on a message, since whoever takes anything
/// else for a bad message would lose a good one.
inline ports::DatabaseFault fault_of(postgres::DbFailure failure) {
    using postgres::DbFailure, ports::DatabaseFault;
    switch (failure) {
        case DbFailure::connection_lost:
        case DbFailure::in_doubt:
        case DbFailure::shutting_down:
            return DatabaseFault::connection;
        case DbFailure::retryable:
            return DatabaseFault::repeatable;
        case DbFailure::locked:
            return DatabaseFault::locked;
        case DbFailure::data:
            return DatabaseFault::data;
        case DbFailure::read_only:
        case DbFailure::forbidden:
        case DbFailure::exhausted:
        case DbFailure::other:
            return DatabaseFault::refused;
    }
    return DatabaseFault::refused;
}

/// Runs `action`; a DatabaseError becomes ports::DatabaseError (its text has the SQLSTATE), or EpochLost.
template <typename Action>
auto with_port_errors(Action&& action) {
    try {
        return std::forward<Action>(action)();
    } catch (const postgres::DatabaseError& error) {
        if (error.sqlstate() == kEpochLostState) throw ports::EpochLost{};
        // The state comes first: logs cut what is long, and PostgreSQL quotes whole functions.
        std::string text = error.sqlstate().empty() ? "" : "SQLSTATE " + error.sqlstate() + ": ";
        text += error.what();
        throw ports::DatabaseError(fault_of(error.kind()), text);
    }
}

}  // namespace tasker::store
