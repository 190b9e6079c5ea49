#include "orchestrator/cli/dev/stop_signals.hpp"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace tasker::cli {

StopSignals::StopSignals() {
    sigset_t watched;
    ::sigemptyset(&watched);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&watched, number);
    ::pthread_sigmask(SIG_BLOCK, &watched, &previous_);
    fd_ = ::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
}

StopSignals::~StopSignals() {
    // What came twice must not kill us after the work is done.
    while (take()) {
    }
    ::close(fd_);
    ::pthread_sigmask(SIG_SETMASK, &previous_, nullptr);
}

std::optional<int> StopSignals::take() {
    signalfd_siginfo info{};
    if (::read(fd_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return std::nullopt;
    received_ = true;
    return static_cast<int>(info.ssi_signo);
}

bool StopSignals::received() {
    while (take()) {
    }
    return received_;
}

}  // namespace tasker::cli
