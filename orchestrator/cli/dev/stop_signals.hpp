// SIGINT, SIGTERM and SIGHUP as something to poll, for commands that wait.
#pragma once

#include <csignal>
#include <optional>

namespace tasker::cli {

/// Blocks the three signals for the calling thread (make it before other threads) and collects them. The
/// destructor restores the mask. Throws std::system_error.
class StopSignals {
  public:
    StopSignals();
    ~StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

    /// Readable when a signal has come.
    int fd() const { return fd_; }
    /// The next signal that has come, without waiting.
    std::optional<int> take();
    /// Whether any has come since the start.
    bool received();

  private:
    int fd_ = -1;
    bool received_ = false;
    sigset_t previous_{};
};

}  // namespace tasker::cli
