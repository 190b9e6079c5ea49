// Wakes a thread that sits in poll(): any thread calls notify(), the owner polls fd() and drains it.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

namespace tasker::util {

/// A non-blocking, close-on-exec eventfd. notify() is thread-safe and async-signal-safe; notifications that
/// were not drained yet merge into one. The constructor throws std::system_error when no descriptor is left.
class EventFd {
  public:
    EventFd() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
    }
    ~EventFd() {
        if (fd_ >= 0) ::close(fd_);
    }
    EventFd(EventFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    EventFd(const EventFd&) = delete;
    EventFd& operator=(const EventFd&) = delete;
    EventFd& operator=(EventFd&&) = delete;

    int fd() const { return fd_; }

    void notify() const {
        const std::uint64_t one = 1;
        // EAGAIN means that the counter is full: the reader is about to wake anyway.
        while (::write(fd_, &one, sizeof one) < 0 && errno == EINTR) {
        }
    }
    /// True when there was something to drain.
    bool drain() const {
        std::uint64_t count = 0;
        ssize_t got = 0;
        do {
            got = ::read(fd_, &count, sizeof count);
        } while (got < 0 && errno == EINTR);
        return got > 0;
    }

  private:
    int fd_;
};

}  // namespace tasker::util
