// One process that a `tasker dev` keeps alive: the orchestrator, or a worker. Its output is passed on line by
// line; when it ends it is started again, after a pause that grows with each quick death.
#pragma once

#include <poll.h>

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "orchestrator/util/process.hpp"

namespace tasker::cli {

/// What it has started itself ends with it: asked together with it, killed when it died unasked. For that our
/// process adopts orphans (PR_SET_CHILD_SUBREAPER). Not thread-safe; the destructor kills what still runs.
class DevChild {
  public:
    using Clock = std::chrono::steady_clock;
    using OnLine = std::function<void(const std::string& line)>;

    DevChild(std::string name, util::SpawnOptions spawn, OnLine on_line);
    ~DevChild();
    DevChild(const DevChild&) = delete;
    DevChild& operator=(const DevChild&) = delete;

    tl::expected<void, std::string> start();
    const std::string& name() const { return name_; }
    bool running() const { return process_.has_value(); }
    pid_t pid() const { return process_ ? process_->pid() : 0; }
    /// Its last lines, for whoever has to explain its death.
    std::string tail() const;

    /// What poll() has to watch for it.
    void add_to(std::vector<pollfd>& items) const;
    /// When something is due that no descriptor shows: a start, or the end of patience with a stop.
    std::optional<Clock::time_point> due() const;

    /// Passes on what it has printed. How it has ended, once, when it has; its next start is planned then.
    std::optional<util::ExitStatus> look();
    /// Whether it has ended because restart() asked it to.
    bool was_asked() const { return was_asked_; }
    /// The pause before the planned start.
    std::chrono::milliseconds pause() const { return pause_; }
    /// How often in a row it has died soon after its start.
    int quick_deaths() const { return quick_deaths_; }
    /// Does what is due. True when it was started. A sentence when it cannot be started.
    tl::expected<bool, std::string> tick();

    /// Asks it to end, and starts it again as soon as it has: nobody's fault, so no pause.
    void restart();
    /// SIGTERM or SIGKILL to it and its children; no start follows.
    void end(int signal);

  private:
    void signal_all(int number) const;
    bool has_company() const;
    void read_output();
    void pass_on(bool all);

    std::string name_;
    util::SpawnOptions spawn_;
    OnLine on_line_;
    std::optional<util::Process> process_;
    std::string unfinished_;  // read, but without its line end yet
    std::deque<std::string> last_lines_;
    Clock::time_point started_;
    std::optional<Clock::time_point> start_at_;
    std::optional<Clock::time_point> kill_at_;
    std::chrono::milliseconds pause_{0};
    int quick_deaths_ = 0;
    bool output_ended_ = false;
    bool gone_ = false;  // itself, while what it has started still ends
    bool asked_to_restart_ = false;
    bool was_asked_ = false;
    bool ending_ = false;
};

}  // namespace tasker::cli
