#include "orchestrator/daemon/signals.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace tasker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// In a process of its own: the signal mask and what is pending belong to the whole process.
int exit_code_of_child(int (*body)()) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(body());
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

TEST(Signals, NoneHasComeWithoutOne) {
    EXPECT_EQ(exit_code_of_child([] {
                  block_stop_signals();
                  const SignalFd signals;
                  return signals.wait(milliseconds(1)) ? 1 : 0;
              }),
              0);
}

TEST(Signals, EachStopSignalIsSeenAndStaysSeen) {
    EXPECT_EQ(exit_code_of_child([] {
                  block_stop_signals();
                  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
                      const SignalFd signals;
                      ::raise(signal);
                      if (!signals.wait(seconds(10)) || !signals.wait(milliseconds(0))) return signal;
                      pollfd item{signals.fd(), POLLIN, 0};
                      if (::poll(&item, 1, 0) != 1) return 100 + signal;
                      sigset_t pending;
                      ::sigpending(&pending);
                      int taken = 0;
                      if (::sigismember(&pending, signal) != 1 || ::sigwait(&pending, &taken) != 0)
                          return 200;
                  }
                  return 0;
              }),
              0);
}

TEST(Signals, ADeadPeerDoesNotEndTheProcess) {
    EXPECT_EQ(exit_code_of_child([] {
                  block_stop_signals();
                  int ends[2];
                  if (::pipe(ends) != 0) return 1;
                  ::close(ends[0]);
                  return ::write(ends[1], "x", 1) == -1 ? 0 : 2;
              }),
              0);
}

}  // namespace
}  // namespace tasker
