// The signals that stop the service, as a file descriptor.
#pragma once

#include <chrono>

namespace tasker {

/// Blocks SIGTERM, SIGINT and SIGHUP for the calling thread and those it starts, and ignores SIGPIPE. Call it
/// before the first thread starts, so that no thread is ended by one of them.
void block_stop_signals();

/// SIGTERM, SIGINT and SIGHUP of this process; they must be blocked. A signal stays pending until the process
/// ends: nobody takes it, so every wait after it returns at once. Throws std::system_error.
class SignalFd {
  public:
    SignalFd();
    ~SignalFd();
    SignalFd(const SignalFd&) = delete;
    SignalFd& operator=(const SignalFd&) = delete;

    /// Readable once a signal has come.
    int fd() const { return fd_; }
    /// Waits at most `timeout`; true when a signal has come.
    bool wait(std::chrono::milliseconds timeout) const;

  private:
    int fd_ = -1;
};

}  // namespace tasker
