#include "orchestrator/util/process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

namespace tasker::util {
namespace {

using std::chrono::milliseconds, std::chrono::seconds;
using testing::HasSubstr;

/// Everything a child with pipe_output prints until its end.
std::string read_all(Process& process) {
    std::string text;
    while (true) {
        pollfd item{process.output(), POLLIN, 0};
        if (::poll(&item, 1, 10'000) != 1) return text + "(nothing within 10 s)";
        char buffer[512];
        const ssize_t size = ::read(process.output(), buffer, sizeof buffer);
        if (size <= 0) return text;
        text.append(buffer, static_cast<std::size_t>(size));
    }
}

TEST(Process, ReportsExitCodeAndSignal) {
    const auto code = run_to_end({.arguments = {"sh", "-c", "exit 7"}}, seconds(10));
    ASSERT_TRUE(code) << code.error();
    EXPECT_EQ(code->code, 7);
    EXPECT_FALSE(code->success());
    EXPECT_EQ(code->text(), "exited with code 7");
    const auto killed = run_to_end({.arguments = {"sh", "-c", "kill -KILL $$"}}, seconds(10));
    ASSERT_TRUE(killed);
    EXPECT_EQ(killed->signal, SIGKILL);
    EXPECT_THAT(killed->text(), HasSubstr("signal 9"));
}

TEST(Process, MissingProgramIsAnErrorNotAnExitCode) {
    const auto process = Process::spawn({.arguments = {"/no/such/program"}});
    ASSERT_FALSE(process);
    EXPECT_THAT(process.error(), HasSubstr("/no/such/program"));
    EXPECT_THAT(process.error(), HasSubstr("No such file"));
}

TEST(Process, UnknownUserAndMissingDirectoryAreErrors) {
    EXPECT_FALSE(Process::spawn({.arguments = {"true"}, .user = "there-is-no-such-user"}));
    const auto process = Process::spawn({.arguments = {"true"}, .working_directory = "/no/such/directory"});
    ASSERT_FALSE(process);
    EXPECT_THAT(process.error(), HasSubstr("enter the directory"));
}

TEST(Process, EnvironmentDirectoryAndOutput) {
    auto process = Process::spawn({.arguments = {"sh", "-c", "echo $GREETING; pwd; echo $HOME"},
                                   .environment = {{"GREETING", "good day"}, {"HOME", "/nowhere"}},
                                   .working_directory = "/usr",
                                   .pipe_output = true});
    ASSERT_TRUE(process) << process.error();
    EXPECT_EQ(read_all(*process), "good day\n/usr\n/nowhere\n");
    EXPECT_TRUE(process->wait_for(seconds(10))->success());
}

TEST(Process, OutputFileTakesBothStreamsAndIsAppendedTo) {
    std::string path = "/tmp/tasker-process-XXXXXX";
    const int fd = ::mkstemp(path.data());
    ASSERT_GE(fd, 0);
    ::close(fd);
    for (const char* word : {"one", "two"}) {
        const SpawnOptions options = {
            .arguments = {"sh", "-c", std::string("echo ") + word + "; echo err >&2"}, .output_file = path};
        ASSERT_TRUE(run_to_end(options, seconds(10))->success());
    }
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    EXPECT_EQ(text.str(), "one\nerr\ntwo\nerr\n");
    ::unlink(path.c_str());
}

TEST(Process, RunsInASessionOfItsOwn) {
    auto process = Process::spawn({.arguments = {"sleep", "60"}});
    ASSERT_TRUE(process);
    EXPECT_EQ(::getsid(process->pid()), process->pid());
    EXPECT_EQ(::getpgid(process->pid()), process->pid());
}

TEST(Process, TerminateKillsWhatDoesNotListen) {
    auto process =
        Process::spawn({.arguments = {"sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"},
                        .pipe_output = true});
    ASSERT_TRUE(process);
    pollfd item{process->output(), POLLIN, 0};
    ASSERT_EQ(::poll(&item, 1, 10'000), 1) << "the child has not set its trap";
    EXPECT_FALSE(process->try_wait());
    EXPECT_EQ(process->terminate(SIGTERM, milliseconds(100)).signal, SIGKILL);
    EXPECT_TRUE(process->try_wait());
}

TEST(Process, WaitForGivesUpAtItsLimit) {
    auto process = Process::spawn({.arguments = {"sleep", "60"}});
    ASSERT_TRUE(process);
    EXPECT_FALSE(process->wait_for(milliseconds(20)));
    EXPECT_FALSE(run_to_end({.arguments = {"sleep", "60"}}, milliseconds(20)));
}

TEST(Process, DestructorLeavesNothingRunning) {
    pid_t pid = 0;
    {
        auto process = Process::spawn({.arguments = {"sleep", "60"}});
        ASSERT_TRUE(process);
        pid = process->pid();
        EXPECT_EQ(::kill(pid, 0), 0);
    }
    EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(Process, ChildStartsWithoutOurBlockedSignals) {
    sigset_t blocked;
    sigset_t before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
    auto process = Process::spawn({.arguments = {"sleep", "60"}});
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ASSERT_TRUE(process);
    process->signal(SIGTERM);
    const auto status = process->wait_for(seconds(10));
    ASSERT_TRUE(status);
    EXPECT_EQ(status->signal, SIGTERM);
}

TEST(Process, ChildDiesWithItsParent) {
    // A process in between: it starts a child through us, tells its pid, and is killed.
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t middle = ::fork();
    if (middle == 0) {
        auto child = Process::spawn({.arguments = {"sleep", "60"}});
        const pid_t pid = child ? child->pid() : -1;
        const ssize_t written = ::write(pipe_ends[1], &pid, sizeof pid);
        if (written != sizeof pid) ::_exit(1);
        while (true) ::pause();
    }
    pid_t grandchild = -1;
    ASSERT_EQ(::read(pipe_ends[0], &grandchild, sizeof grandchild), static_cast<ssize_t>(sizeof grandchild));
    ASSERT_GT(grandchild, 0);
    ::kill(middle, SIGKILL);
    EXPECT_TRUE(wait_for_foreign_end(grandchild, seconds(10)));
    ::kill(grandchild, SIGKILL);  // in case it is still there
    ::waitpid(middle, nullptr, 0);
    ::close(pipe_ends[0]);
    ::close(pipe_ends[1]);
}

}  // namespace
}  // namespace tasker::util
