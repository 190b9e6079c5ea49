#include "orchestrator/cli/dev/dev_child.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

namespace tasker::cli {
namespace {

using std::chrono::milliseconds, std::chrono::seconds;

constexpr auto kQuick = seconds(10);
constexpr auto kFirstPause = milliseconds(250);
constexpr auto kLongestPause = seconds(30);
constexpr auto kRestartPatience = seconds(10);
constexpr auto kCompanyInterval = milliseconds(50);
constexpr std::size_t kTailLines = 10;
constexpr std::size_t kLineBytesMax = 64UL * 1024;

}  // namespace

DevChild::DevChild(std::string name, util::SpawnOptions spawn, OnLine on_line)
    : name_(std::move(name)), spawn_(std::move(spawn)), on_line_(std::move(on_line)) {
    spawn_.pipe_output = true;
    spawn_.pipe_errors = true;
}

DevChild::~DevChild() {
    end(SIGKILL);
}

tl::expected<void, std::string> DevChild::start() {
    start_at_.reset();
    output_ended_ = false;
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    auto process = util::Process::spawn(spawn_);
    if (!process) return tl::unexpected(process.error());
    process_.emplace(std::move(*process));
    started_ = Clock::now();
    return {};
}

std::string DevChild::tail() const {
    std::string text;
    for (const std::string& line : last_lines_) text += "\n    " + line;
    return text;
}

void DevChild::add_to(std::vector<pollfd>& items) const {
    if (!process_) return;
    if (!gone_) items.push_back({process_->pidfd(), POLLIN, 0});
    if (!output_ended_) items.push_back({process_->output(), POLLIN, 0});
}

std::optional<DevChild::Clock::time_point> DevChild::due() const {
    // Of the end of what it has started there is no other sign.
    if (gone_) return Clock::now() + kCompanyInterval;
    if (ending_) return std::nullopt;
    return process_ ? kill_at_ : start_at_;
}

std::optional<util::ExitStatus> DevChild::look() {
    if (!process_) return std::nullopt;
    read_output();
    const auto status = process_->try_wait();
    if (!status) return std::nullopt;
    read_output();
    gone_ = has_company();
    if (gone_ && (ending_ || asked_to_restart_)) return std::nullopt;
    // A new one would work beside what the dead one has left.
    if (gone_) {
        signal_all(SIGKILL);
        while (::waitpid(-pid(), nullptr, 0) > 0) {
        }
    }
    gone_ = false;
    pass_on(true);
    process_.reset();
    kill_at_.reset();
    const auto now = Clock::now();
    quick_deaths_ = asked_to_restart_ || now - started_ >= kQuick ? 0 : quick_deaths_ + 1;
    pause_ = milliseconds(0);
    if (!asked_to_restart_) {
        pause_ = kFirstPause;
        for (int death = 1; death < quick_deaths_ && pause_ < kLongestPause; ++death) pause_ *= 2;
        pause_ = std::min<milliseconds>(pause_, kLongestPause);
    }
    was_asked_ = std::exchange(asked_to_restart_, false);
    if (!ending_) start_at_ = now + pause_;
    return status;
}

tl::expected<bool, std::string> DevChild::tick() {
    const auto now = Clock::now();
    if (process_ && kill_at_ && now >= *kill_at_) {
        kill_at_.reset();
        signal_all(SIGKILL);
    }
    if (process_ || !start_at_ || now < *start_at_) return false;
    if (auto started = start(); !started) return tl::unexpected(started.error());
    return true;
}

void DevChild::restart() {
    quick_deaths_ = 0;
    if (!process_) {
        if (start_at_) start_at_ = Clock::now();
        return;
    }
    asked_to_restart_ = true;
    if (!kill_at_) kill_at_ = Clock::now() + kRestartPatience;
    signal_all(SIGTERM);
}

void DevChild::end(int signal) {
    ending_ = true;
    start_at_.reset();
    signal_all(signal);
}

/// To its whole group. While we keep the process, something of the group is there, so the number is its own.
void DevChild::signal_all(int number) const {
    if (pid() > 1) ::kill(-pid(), number);
}

/// Whether anything that it has started is left. Orphans are our children, so they are reaped here.
bool DevChild::has_company() const {
    pid_t ended = 0;
    do {
        ended = ::waitpid(-pid(), nullptr, WNOHANG);
    } while (ended > 0);
    return ended == 0;
}

void DevChild::read_output() {
    char buffer[4096];
    while (true) {
        const ssize_t size = ::read(process_->output(), buffer, sizeof buffer);
        if (size < 0 && errno == EINTR) continue;
        if (size == 0) output_ended_ = true;
        if (size <= 0) break;
        unfinished_.append(buffer, static_cast<std::size_t>(size));
        pass_on(false);
    }
}

/// `all`: the last line, too, though its end is missing.
void DevChild::pass_on(bool all) {
    while (!unfinished_.empty()) {
        auto end = unfinished_.find('\n');
        std::size_t taken = end + 1;
        if (end == std::string::npos) {
            if (!all && unfinished_.size() < kLineBytesMax) return;
            end = taken = unfinished_.size();
        }
        const std::string line = unfinished_.substr(0, end);
        unfinished_.erase(0, taken);
        last_lines_.push_back(line);
        if (last_lines_.size() > kTailLines) last_lines_.pop_front();
        on_line_(line);
    }
}

}  // namespace tasker::cli
