// One `tasker dev`: PostgreSQL and the orchestrator as children, started in order, watched, stopped in
// reverse.
//
// The files in its directory are hints, the lock is the truth: whoever holds it owns the directory. When this
// process is killed outright, the kernel stops both children (parent-death signal), and the next start cleans
// up the rest.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/cli/context.hpp"
#include "orchestrator/cli/dev_places.hpp"
#include "orchestrator/cli/dev_state.hpp"
#include "orchestrator/cli/private_postgres.hpp"
#include "orchestrator/cli/stop_signals.hpp"
#include "orchestrator/util/process.hpp"

namespace tasker::cli {

struct DevOptions {
    std::filesystem::path directory = kDevDirectory;
    std::filesystem::path templates = "config/tasks";
    std::filesystem::path orchestrator;  // empty: beside this program
};

/// Runs from start to stop in one thread (the children die with it).
class DevSession {
  public:
    DevSession(const Context& context, DevOptions options)
        : context_(context), options_(std::move(options)) {}

    /// Starts everything, waits for a stop signal or a child's death, stops everything. Throws CommandError.
    ExitCode run();

  private:
    void start_database(const std::filesystem::path& directory);
    void migrate();
    void load_templates();
    void start_orchestrator();
    void wait_until_serving();
    bool forward_output();
    void announce();
    ExitCode watch();
    bool stop();
    bool stop_orchestrator();
    DevEndpoints endpoints() const;

    const Context& context_;
    DevOptions options_;
    StopSignals signals_;
    std::optional<DevPlaces> places_;
    std::optional<PrivatePostgres> server_;
    std::optional<util::Process> orchestrator_;
    std::string orchestrator_output_;  // read, but without its line end yet
    bool serving_ = false;
    std::vector<std::string> summary_;
    DevState state_;
};

}  // namespace tasker::cli
