// Child processes: started in a session of their own, watched by pidfd, ended by pid with a limit, never left
// over.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace tasker::util {

/// What to start and how. `arguments[0]` is the program: a path, or a name looked up in PATH.
struct SpawnOptions {
    std::vector<std::string> arguments;
    std::vector<std::pair<std::string, std::string>> environment =
        {};                                        // added to ours, or replacing it by name
    std::filesystem::path working_directory = {};  // empty: ours
    std::string user = {};                         // run as this user (needs root); empty: as ourselves
    int parent_death_signal = SIGKILL;             // sent when the *thread* that called spawn() ends; 0: none
    std::filesystem::path output_file = {};        // stdout and stderr are appended here (no link)
    int output_fd = -1;                            // stdout and stderr go here; stays the caller's
    bool pipe_output = false;                      // stdout goes to Process::output() instead
    bool pipe_errors = false;                      // … and stderr with it
};

/// How a process ended: its exit code, or the signal that killed it.
struct ExitStatus {
    int code = 0;
    int signal = 0;

    bool success() const { return code == 0 && signal == 0; }
    /// "exited with code 2" or "was killed by signal 9 (Killed)".
    std::string text() const;
};

/// A running child, in its own session and process group: a Ctrl-C in our terminal does not reach it. The
/// destructor kills and reaps a child that still runs. Not thread-safe.
class Process {
  public:
    /// Starts it; returns a sentence on failure (program missing, user unknown, directory unreadable …).
    static tl::expected<Process, std::string> spawn(const SpawnOptions& options);

    ~Process();
    Process(Process&& other) noexcept;
    Process& operator=(Process&& other) noexcept;
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    pid_t pid() const { return pid_; }
    /// Readable in poll() once the child has ended.
    int pidfd() const { return pidfd_; }
    /// The reading end of its stdout (non-blocking) with pipe_output, else -1.
    int output() const { return output_; }

    /// The status, if it has ended by now.
    std::optional<ExitStatus> try_wait();
    /// Waits at most `limit`.
    std::optional<ExitStatus> wait_for(std::chrono::milliseconds limit);
    /// Sends a signal to the child alone; nothing when it has ended.
    void signal(int number);
    /// Sends `number`, waits at most `limit`, then kills the whole process group. Returns how it ended.
    ExitStatus terminate(int number, std::chrono::milliseconds limit);

  private:
    Process(pid_t pid, int pidfd, int output) : pid_(pid), pidfd_(pidfd), output_(output) {}

    pid_t pid_ = -1;
    int pidfd_ = -1;
    int output_ = -1;
    std::optional<ExitStatus> status_;
};

/// Runs a program to its end. Returns its status, or a sentence when it could not be started or did not end
/// within `limit` (it is killed then).
tl::expected<ExitStatus, std::string> run_to_end(const SpawnOptions& options,
                                                 std::chrono::milliseconds limit);

/// Waits at most `limit` for a process that is not our child to end. True when it is gone.
bool wait_for_foreign_end(pid_t pid, std::chrono::milliseconds limit);

}  // namespace tasker::util
