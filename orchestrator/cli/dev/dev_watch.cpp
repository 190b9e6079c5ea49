// A `tasker dev` from the moment that all of it runs: what happens when something dies or changes, and the end.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>

#include "orchestrator/cli/dev/dev_session.hpp"

namespace tasker::cli {
namespace {

using std::chrono::milliseconds, std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr const char* kReadyWords = "tasker-orchestrator ready";
constexpr int kQuickDeathsMax = 5;
constexpr auto kSourceInterval = milliseconds(500);
// Workers drain; the orchestrator may hand back work and wait for acks. Then the crash-only design carries the
// rest.
constexpr auto kWorkerStopLimit = seconds(20);
constexpr auto kOrchestratorStopLimit = seconds(20);
constexpr auto kServerStopLimit = seconds(30);
constexpr std::array kColors = {36, 33, 35, 32, 34};  // cyan, yellow, magenta, green, blue

std::string in_seconds(milliseconds pause) {
    return fmt::format("{:.4g} s", std::chrono::duration<double>(pause).count());
}

}  // namespace

/// Logs belong to standard error, with --json, too.
void DevSession::print_line(const std::string& name, int number, const std::string& line) const {
    if (!named_lines_) {
        std::fprintf(stderr, "%s\n", line.c_str());
        return;
    }
    const std::string shown = fmt::format("{:<12}", name);
    if (color_) {
        const int color = kColors.at(static_cast<std::size_t>(number) % kColors.size());
        std::fprintf(stderr, "\033[%dm%s |\033[0m %s\n", color, shown.c_str(), line.c_str());
    } else {
        std::fprintf(stderr, "%s | %s\n", shown.c_str(), line.c_str());
    }
}

void DevSession::on_orchestrator_line(const std::string& line) {
    if (!line.starts_with(kReadyWords)) {
        print_line("orchestrator", 0, line);
        return;
    }
    const bool again = serving_;
    serving_ = true;
    if (again) context_.remark(fmt::format("the orchestrator serves again (pid {})", orchestrator_->pid()));
}

std::vector<DevChild*> DevSession::children() {
    std::vector<DevChild*> list;
    if (orchestrator_) list.push_back(&*orchestrator_);
    for (DevChild& worker : workers_) list.push_back(&worker);
    return list;
}

std::optional<Clock::time_point> DevSession::next_due() {
    std::optional<Clock::time_point> next;
    if (templates_) next = next_look_;
    for (const DevChild* child : children()) {
        const auto due = child->due();
        if (due && (!next || *due < *next)) next = due;
    }
    return next;
}

void DevSession::wait_for_events(std::optional<Clock::time_point> until, bool with_server) {
    std::vector<pollfd> items{{signals_.fd(), POLLIN, 0}};
    if (server_ && with_server) items.push_back({server_->process().pidfd(), POLLIN, 0});
    for (const DevChild* child : children()) child->add_to(items);
    if (const auto due = next_due(); due && (!until || *due < *until)) until = due;
    int limit = -1;
    if (until) {
        const auto left = std::chrono::ceil<milliseconds>(*until - Clock::now()).count();
        limit = static_cast<int>(std::clamp<long>(left, 0, 3'600'000));
    }
    ::poll(items.data(), items.size(), limit);
}

ExitCode DevSession::watch() {
    next_look_ = Clock::now() + kSourceInterval;
    while (true) {
        wait_for_events({});
        if (signals_.received()) return ExitCode::ok;
        look_at_server();
        look_at_orchestrator();
        look_at_workers();
        look_at_sources();
    }
}

void DevSession::look_at_server() {
    if (!server_) return;
    const auto ended = server_->process().try_wait();
    if (!ended) return;
    throw CommandError(ExitCode::failed, "the private PostgreSQL " + server_->with_log(ended->text()),
                       "everything is being stopped; what was committed is safe: start `tasker dev` again");
}

void DevSession::look_at_orchestrator() {
    if (const auto ended = orchestrator_->look()) {
        if (orchestrator_->quick_deaths() >= kQuickDeathsMax) {
            throw CommandError(
                ExitCode::failed,
                fmt::format("the orchestrator {}, for the {}th time soon after its start; its last lines:{}",
                            ended->text(), kQuickDeathsMax, orchestrator_->tail()),
                "everything is being stopped");
        }
        context_.remark(fmt::format("the orchestrator {}; starting it again in {}. Accepted tasks are safe.",
                                    ended->text(), in_seconds(orchestrator_->pause())));
    }
    const auto started = orchestrator_->tick();
    if (!started) throw CommandError(ExitCode::failed, started.error());
    if (!*started) return;
    state_.orchestrator_pid = orchestrator_->pid();
    write_dev_state(*folder_, state_);
}

void DevSession::look_at_workers() {
    for (DevChild& worker : workers_) {
        const auto ended = worker.look();
        if (ended && worker.was_asked()) {
            if (ended->signal == SIGKILL)
                context_.remark(worker.name() +
                                " did not end when it was asked, and was killed; starting it again");
        } else if (ended) {
            context_.remark(worker.pause().count() == 0
                                ? fmt::format("{} {}; starting it again", worker.name(), ended->text())
                                : fmt::format("{} {}; starting it again in {}", worker.name(), ended->text(),
                                              in_seconds(worker.pause())));
        }
        const auto started = worker.tick();
        if (!started) throw CommandError(ExitCode::failed, started.error());
    }
}

void DevSession::look_at_sources() {
    if (!templates_ || Clock::now() < next_look_) return;
    // First the templates: what workers do next may need them.
    if (const auto changed = templates_->look()) load_changed_templates(*changed);
    const auto changed = sources_ ? sources_->look() : std::nullopt;
    next_look_ = Clock::now() + kSourceInterval;
    if (!changed) return;
    context_.remark(*changed + " changed; restarting the workers");
    for (DevChild& worker : workers_) worker.restart();
}

/// A bad one ends nothing: what is loaded stays, and the next change is another chance.
void DevSession::load_changed_templates(const std::string& changed) {
    constexpr const char* kept = "the templates that were loaded stay in force";
    const std::string folder = options_.templates.string();
    if (!std::filesystem::is_directory(options_.templates)) {
        context_.remark(fmt::format("there is no directory {} any more; {}", folder, kept));
        return;
    }
    try {
        context_.remark(
            fmt::format("{} changed; {}", changed, context_.load_templates(state_.database_url, folder)));
    } catch (const std::exception& error) {
        context_.remark(fmt::format("{} changed, and is not loaded; {}:\n{}", changed, kept, error.what()));
    }
}

/// Ends them in order. False when one had to be killed without being asked to.
bool DevSession::end_children(const std::vector<DevChild*>& ending, milliseconds limit) {
    for (DevChild* child : ending) child->end(SIGTERM);
    const auto deadline = Clock::now() + limit;
    while (signals_.take()) {
    }
    bool in_order = true;
    const auto some_run = [&] {
        // The others, too: what they print must be taken from them.
        for (DevChild* child : children()) {
            const auto ended = child->look();
            if (!ended || ended->success()) continue;
            context_.remark(fmt::format("{} {} while stopping", child->name(), ended->text()));
            in_order = false;
        }
        return std::any_of(ending.begin(), ending.end(),
                           [](const DevChild* child) { return child->running(); });
    };
    while (some_run()) {
        wait_for_events(deadline, false);
        const bool again = signals_.take().has_value();
        if (!again && Clock::now() < deadline) continue;
        for (DevChild* child : ending) {
            if (!child->running()) continue;
            context_.remark(again ? fmt::format("killing {}", child->name())
                                  : fmt::format("{} does not stop; killing it", child->name()));
            child->end(SIGKILL);
            child->look();
        }
        return again;
    }
    return in_order;
}

bool DevSession::stop() {
    if (!places_) return true;
    folder_->remove(kDevStateFile);
    sources_.reset();
    templates_.reset();
    if (orchestrator_) context_.remark("stopping …");
    std::vector<DevChild*> workers;
    for (DevChild& worker : workers_) workers.push_back(&worker);
    // Workers first: they report to the orchestrator. How they end is their own business.
    end_children(workers, kWorkerStopLimit);
    workers_.clear();
    bool in_order = !orchestrator_ || end_children({&*orchestrator_}, kOrchestratorStopLimit);
    orchestrator_.reset();
    if (server_) {
        const auto status = server_->stop(kServerStopLimit);
        if (!status.success()) context_.remark("the private PostgreSQL " + status.text());
        in_order = in_order && status.success();
        server_.reset();
    }
    remove_run_dir(*folder_, *places_);
    return in_order;
}

}  // namespace tasker::cli
