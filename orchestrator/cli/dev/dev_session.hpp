// One `tasker dev`: PostgreSQL, the orchestrator and workers as children, started in order, watched, stopped in
// reverse. The orchestrator and workers are started again when they die; without the database all ends.
//
// The files in its directory are hints, the lock is the truth: whoever holds it owns the directory. When this
// process is killed outright, the kernel stops both children (parent-death signal), and the next start cleans
// up the rest.
#pragma once

#include <chrono>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/cli/context.hpp"
#include "orchestrator/cli/dev/dev_child.hpp"
#include "orchestrator/cli/dev/dev_folder.hpp"
#include "orchestrator/cli/dev/dev_places.hpp"
#include "orchestrator/cli/dev/dev_state.hpp"
#include "orchestrator/cli/dev/private_postgres.hpp"
#include "orchestrator/cli/dev/source_watch.hpp"
#include "orchestrator/cli/dev/stop_signals.hpp"

namespace tasker::cli {

struct DevOptions {
    std::filesystem::path directory = kDevDirectory;
    std::filesystem::path templates = "config/tasks";
    std::filesystem::path orchestrator;     // empty: beside this program
    bool adopt_data = false;                // take a data directory that was not made here
    bool templates_named = false;           // then they must exist
    bool reload = false;                    // restart workers when sources change, load templates that do
    std::vector<std::string> workers = {};  // commands of a shell
};

/// Runs from start to stop in one thread (the children die with it).
class DevSession {
  public:
    DevSession(const Context& context, DevOptions options);

    /// Starts everything, waits for a stop signal or a death that it cannot mend, stops everything. Throws
    /// CommandError.
    ExitCode run();

  private:
    using Clock = DevChild::Clock;

    // dev_session.cpp: the start
    void refuse_below_a_running_one() const;
    util::FileLock take_lock() const;
    std::string variable(const char* name);
    void start_database();
    void migrate();
    void load_templates();
    void start_orchestrator();
    void wait_until_serving();
    void start_workers();
    void watch_sources();
    void announce();
    std::string endpoint(const char* variable_name, const std::string& configured, const std::string& usual,
                         const char* socket);
    DevEndpoints endpoints();

    // dev_watch.cpp: from then on
    void print_line(const std::string& name, int number, const std::string& line) const;
    void on_orchestrator_line(const std::string& line);
    std::vector<DevChild*> children();
    void wait_for_events(std::optional<Clock::time_point> until, bool with_server = true);
    std::optional<Clock::time_point> next_due();
    ExitCode watch();
    void look_at_server();
    void look_at_orchestrator();
    void look_at_workers();
    void look_at_sources();
    void load_changed_templates(const std::string& changed);
    bool stop();
    bool end_children(const std::vector<DevChild*>& ending, std::chrono::milliseconds limit);

    const Context& context_;
    DevOptions options_;
    StopSignals signals_;
    std::optional<DevFolder> folder_;
    std::optional<DevPlaces> places_;
    std::optional<PrivatePostgres> server_;
    std::optional<DevChild> orchestrator_;
    std::deque<DevChild> workers_;
    std::optional<SourceWatch> sources_;    // of workers
    std::optional<SourceWatch> templates_;  // loaded again when they change
    Clock::time_point next_look_;
    bool serving_ = false;
    bool named_lines_ = false;  // there are workers, so lines need names
    bool color_ = false;
    std::vector<std::string> summary_;
    DevState state_;
};

}  // namespace tasker::cli
