// Poolers: a session needs one backend for as long as it lives.
#pragma once

#include <functional>
#include <string>

#include "orchestrator/postgres/address.hpp"

namespace tasker::postgres {

enum class Pooling {
    keeps_backend,    // direct, or a pooler that gives each connection a backend of its own
    changes_backend,  // another connection's statements run on the same backend
    no_second         // the pooler had no backend for a second connection in time
};

/// Asks a pooler by using it: two connections that both live never see the same backend, unless the pooler
/// lends it by the transaction. `backend_pid` runs pg_backend_pid() on the first connection; the second is
/// made here, with `parts`. Needed only where that pid is not the one the connection was greeted with. Throws
/// NoLink.
Pooling probe_pooler(const UrlParts& parts, const std::function<int()>& backend_pid);

}  // namespace tasker::postgres
