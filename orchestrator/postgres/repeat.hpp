// Repeating transactions that lost a race.
#pragma once

#include "orchestrator/postgres/connection.hpp"

namespace tasker::postgres {

/// How often a transaction is run before a deadlock or serialization failure is passed on. Each loss means
/// that another transaction got through, so more than a few in a row points at a fault rather than at bad
/// luck.
constexpr int kTransactionRunsMax = 8;

/// Runs `action` (a whole transaction, with no effect when it throws) again while it fails with
/// DbFailure::retryable. Everything else it throws goes on.
template <typename Action>
auto repeat_while_retryable(const Action& action) {
    for (int run = 1;; ++run) {
        try {
            return action();
        } catch (const DatabaseError& error) {
            if (error.kind() != DbFailure::retryable || run == kTransactionRunsMax) throw;
        }
    }
}

}  // namespace tasker::postgres
