#include "orchestrator/util/process.hpp"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
// glibc 2.36 forgot the C linkage in this header.
extern "C" {
#include <sys/pidfd.h>
}
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>

#include "orchestrator/util/check.hpp"

namespace tasker::util {
namespace {

/// Everything the child needs, made before fork(): afterwards it may not allocate.
struct Prepared {
    std::vector<std::string> arguments;
    std::vector<std::string> environment;
    std::vector<char*> argv;
    std::vector<char*> envp;
    std::string directory;
    std::string output_file;
    bool switch_user = false;
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;
    int death_signal = 0;
    pid_t parent = 0;
    int output_fd = -1;
    int stdout_fd = -1;
    bool pipe_errors = false;
    int report_fd = -1;
};

/// What the child reports when it cannot become the program.
struct ChildFailure {
    int step = 0;  // index into kSteps
    int error = 0;
};
constexpr std::array<const char*, 6> kSteps = {"open a session",      "open the output file",
                                               "switch to the user",  "watch the parent",
                                               "enter the directory", "execute the program"};

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (std::string& text : texts) list.push_back(text.data());
    list.push_back(nullptr);
    return list;
}

std::vector<std::string> merged_environment(const SpawnOptions& options) {
    std::map<std::string, std::string> merged;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string text = *entry;
        const auto equals = text.find('=');
        if (equals != std::string::npos) merged[text.substr(0, equals)] = text.substr(equals + 1);
    }
    for (const auto& [name, value] : options.environment) merged[name] = value;
    std::vector<std::string> list;
    for (const auto& [name, value] : merged) list.push_back(name + "=" + value);
    return list;
}

tl::expected<void, std::string> look_up_user(const std::string& name, Prepared& prepared) {
    passwd entry{};
    passwd* found = nullptr;
    std::vector<char> buffer(16384);
    const int error = ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (found == nullptr) {
        return tl::unexpected("the user " + name + " does not exist" +
                              (error != 0 ? std::string(": ") + std::strerror(error) : std::string()));
    }
    prepared.switch_user = true;
    prepared.uid = entry.pw_uid;
    prepared.gid = entry.pw_gid;
    int count = 64;
    prepared.groups.resize(static_cast<std::size_t>(count));
    if (::getgrouplist(name.c_str(), entry.pw_gid, prepared.groups.data(), &count) < 0) {
        prepared.groups.resize(static_cast<std::size_t>(count));
        ::getgrouplist(name.c_str(), entry.pw_gid, prepared.groups.data(), &count);
    }
    prepared.groups.resize(static_cast<std::size_t>(count));
    return {};
}

// From here to exec only async-signal-safe calls are allowed.
[[noreturn]] void fail_child(const Prepared& prepared, int step) {
    const ChildFailure failure{step, errno};
    [[maybe_unused]] const ssize_t written = ::write(prepared.report_fd, &failure, sizeof failure);
    ::_exit(127);
}

[[noreturn]] void become_program(const Prepared& prepared) {
    for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    if (::setsid() < 0) fail_child(prepared, 0);
    const int null = ::open("/dev/null", O_RDONLY);
    if (null < 0 || ::dup2(null, 0) < 0) fail_child(prepared, 1);
    if (!prepared.output_file.empty()) {
        const int file =
            ::open(prepared.output_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
        if (file < 0 || ::dup2(file, 1) < 0 || ::dup2(file, 2) < 0) fail_child(prepared, 1);
        if (file > 2) ::close(file);
    }
    if (prepared.output_fd >= 0 && (::dup2(prepared.output_fd, 1) < 0 || ::dup2(prepared.output_fd, 2) < 0))
        fail_child(prepared, 1);
    if (prepared.stdout_fd >= 0 && ::dup2(prepared.stdout_fd, 1) < 0) fail_child(prepared, 1);
    if (prepared.pipe_errors && ::dup2(1, 2) < 0) fail_child(prepared, 1);
    if (prepared.switch_user) {
        if (::setgroups(prepared.groups.size(), prepared.groups.data()) < 0 || ::setgid(prepared.gid) < 0 ||
            ::setuid(prepared.uid) < 0) {
            fail_child(prepared, 2);
        }
    }
    // After the change of user, which would clear it; and the parent may have died before this took hold.
    if (prepared.death_signal != 0) {
        if (::prctl(PR_SET_PDEATHSIG, prepared.death_signal) < 0) fail_child(prepared, 3);
        if (::getppid() != prepared.parent) ::_exit(127);
    }
    if (!prepared.directory.empty() && ::chdir(prepared.directory.c_str()) < 0) fail_child(prepared, 4);
    ::execvpe(prepared.argv[0], prepared.argv.data(), prepared.envp.data());
    fail_child(prepared, 5);
}

void close_fd(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
}

int poll_one(int fd, std::chrono::milliseconds limit) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    pollfd item{fd, POLLIN, 0};
    while (true) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
        const int ready = ::poll(&item, 1, static_cast<int>(left > 0 ? left : 0));
        if (ready >= 0 || errno != EINTR) return ready;
    }
}

}  // namespace

std::string ExitStatus::text() const {
    if (signal == 0) return "exited with code " + std::to_string(code);
    return "was killed by signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
}

tl::expected<Process, std::string> Process::spawn(const SpawnOptions& options) {
    CHECK(!options.arguments.empty(), "nothing to start");
    Prepared prepared;
    prepared.arguments = options.arguments;
    prepared.environment = merged_environment(options);
    prepared.argv = pointers(prepared.arguments);
    prepared.envp = pointers(prepared.environment);
    prepared.directory = options.working_directory.string();
    prepared.output_file = options.output_file.string();
    prepared.output_fd = options.output_fd;
    prepared.pipe_errors = options.pipe_errors;
    prepared.death_signal = options.parent_death_signal;
    prepared.parent = ::getpid();
    if (!options.user.empty()) {
        if (auto found = look_up_user(options.user, prepared); !found) return tl::unexpected(found.error());
    }
    int report[2] = {-1, -1};
    int output[2] = {-1, -1};
    if (::pipe2(report, O_CLOEXEC) < 0 || (options.pipe_output && ::pipe2(output, O_CLOEXEC) < 0)) {
        const std::string problem = std::string("cannot create a pipe: ") + std::strerror(errno);
        for (int* fd : {&report[0], &report[1], &output[0], &output[1]}) close_fd(*fd);
        return tl::unexpected(problem);
    }
    prepared.report_fd = report[1];
    prepared.stdout_fd = output[1];

    const pid_t pid = ::fork();
    if (pid == 0) become_program(prepared);
    const int fork_error = errno;
    close_fd(report[1]);
    close_fd(output[1]);
    ChildFailure failure;
    ssize_t got = 0;
    if (pid > 0) {
        do {
            got = ::read(report[0], &failure, sizeof failure);
        } while (got < 0 && errno == EINTR);
    }
    close_fd(report[0]);
    if (pid < 0 || got == static_cast<ssize_t>(sizeof failure)) {
        close_fd(output[0]);
        if (pid < 0) return tl::unexpected(std::string("cannot fork: ") + std::strerror(fork_error));
        ::waitpid(pid, nullptr, 0);
        return tl::unexpected("cannot start " + options.arguments[0] + ": cannot " +
                              kSteps.at(static_cast<std::size_t>(failure.step)) + ": " +
                              std::strerror(failure.error));
    }
    const int pidfd = ::pidfd_open(pid, 0);
    if (output[0] >= 0) ::fcntl(output[0], F_SETFL, O_NONBLOCK);
    Process process(pid, pidfd, output[0]);
    if (pidfd < 0)
        return tl::unexpected(std::string("cannot watch a child process: ") + std::strerror(errno));
    return process;
}

Process::~Process() {
    if (pid_ > 0 && !status_) terminate(SIGKILL, std::chrono::milliseconds(0));
    close_fd(pidfd_);
    close_fd(output_);
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::exchange(other.pidfd_, -1)),
      output_(std::exchange(other.output_, -1)),
      status_(other.status_) {}

Process& Process::operator=(Process&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(pidfd_, other.pidfd_);
    std::swap(output_, other.output_);
    std::swap(status_, other.status_);
    return *this;
}

std::optional<ExitStatus> Process::try_wait() {
    if (status_ || pid_ <= 0) return status_;
    int status = 0;
    const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
    if (ended != pid_) return std::nullopt;
    status_ = WIFSIGNALED(status) ? ExitStatus{0, WTERMSIG(status)} : ExitStatus{WEXITSTATUS(status), 0};
    return status_;
}

std::optional<ExitStatus> Process::wait_for(std::chrono::milliseconds limit) {
    if (!try_wait()) poll_one(pidfd_, limit);
    return try_wait();
}

void Process::signal(int number) {
    if (pid_ > 0 && !try_wait()) ::kill(pid_, number);
}

ExitStatus Process::terminate(int number, std::chrono::milliseconds limit) {
    CHECK(pid_ > 0, "no process to terminate");
    signal(number);
    if (auto status = wait_for(limit)) return *status;
    ::kill(-pid_, SIGKILL);
    // SIGKILL cannot be refused; only a process stuck in the kernel takes longer than this.
    if (auto status = wait_for(std::chrono::seconds(30))) return *status;
    return ExitStatus{0, SIGKILL};
}

tl::expected<ExitStatus, std::string> run_to_end(const SpawnOptions& options,
                                                 std::chrono::milliseconds limit) {
    auto process = Process::spawn(options);
    if (!process) return tl::unexpected(process.error());
    if (const auto status = process->wait_for(limit)) return *status;
    process->terminate(SIGKILL, std::chrono::milliseconds(0));
    return tl::unexpected(options.arguments[0] + " did not end within " + std::to_string(limit.count()) +
                          " ms");
}

bool wait_for_foreign_end(pid_t pid, std::chrono::milliseconds limit) {
    int pidfd = ::pidfd_open(pid, 0);
    if (pidfd < 0) return errno == ESRCH;
    const bool ended = poll_one(pidfd, limit) > 0;
    close_fd(pidfd);
    return ended;
}

}  // namespace tasker::util
