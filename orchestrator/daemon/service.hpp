// The orchestrator as a whole: builds the parts, runs their threads, shuts them down in order.
#pragma once

#include "orchestrator/options/options.hpp"

namespace tasker {

/// Exit codes of tasker-orchestrator, documented in its --help.
enum class ServiceExit {
    ok = 0,
    failed = 1,        // something broke while running; see the log
    bad_settings = 2,  // usage, settings, or an endpoint that cannot be bound
    schema = 3,        // the database's schema is missing, older or newer
    superseded = 5     // another orchestrator has taken over
};

/// Runs until SIGTERM or SIGINT. Signals must be blocked in all threads before the call. Prints one line
/// `tasker-orchestrator ready …` on standard output once it serves.
ServiceExit run_service(const options::Options& options);

}  // namespace tasker
