// tasker-bench-worker: one no-op worker, or many idle ones in one process. See --help.
#include <sys/epoll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>
#include <zmq.hpp>

#include "tests/bench/native/noop_session.hpp"

namespace {

using tasker::bench::Clock;
using tasker::bench::LatencyHistogram;
using tasker::bench::NoopSession;
using tasker::bench::SessionOptions;

volatile std::sig_atomic_t stop_requested = 0;

/// All sessions of this process, in one thread that sleeps until one of them has something to do.
class Worker {
  public:
    Worker(const SessionOptions& options, int sessions) : poll_(::epoll_create1(EPOLL_CLOEXEC)) {
        if (poll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
        context_.set(zmq::ctxopt::max_sockets, 2 * sessions + 16);
        for (int number = 0; number < sessions; ++number) {
            auto& session =
                *sessions_.emplace_back(std::make_unique<NoopSession>(context_, options, number, next_step_));
            epoll_event event{};
            event.events = EPOLLIN;
            event.data.ptr = &session;
            if (::epoll_ctl(poll_, EPOLL_CTL_ADD, session.fd(), &event) != 0)
                throw std::system_error(errno, std::generic_category(), "epoll_ctl");
            // What came before the descriptor was watched raises no event.
            session.receive_all();
        }
    }
    ~Worker() { ::close(poll_); }
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    void run(const sigset_t& signals_while_waiting) {
        std::array<epoll_event, 64> events{};
        while (stop_requested == 0) {
            const auto now = Clock::now();
            auto next = Clock::time_point::max();
            for (const auto& session : sessions_) {
                if (session->next_beat() <= now) session->beat(now);
                next = std::min(next, session->next_beat());
            }
            const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
            const int count =
                ::epoll_pwait(poll_, events.data(), static_cast<int>(events.size()),
                              static_cast<int>(std::max<long>(0, wait)), &signals_while_waiting);
            for (int i = 0; i < count; ++i)
                static_cast<NoopSession*>(events[static_cast<std::size_t>(i)].data.ptr)->receive_all();
        }
        for (const auto& session : sessions_) session->say_goodbye();
    }

    const LatencyHistogram& next_step() const { return next_step_; }

  private:
    zmq::context_t context_;
    LatencyHistogram next_step_;
    std::vector<std::unique_ptr<NoopSession>> sessions_;
    int poll_;
};

/// SIGTERM and SIGINT are heard only while waiting, so that none is missed between a look at the flag and the
/// wait. Returns the mask to wait with.
sigset_t catch_signals() {
    struct sigaction action {};
    action.sa_handler = [](int) { stop_requested = 1; };
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);
    sigset_t blocked;
    sigset_t before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    return before;
}

void write_latencies(const std::string& file, const LatencyHistogram& next_step) {
    std::ofstream out(file);
    out << R"({"next_step_us":)" << next_step.to_json() << "}\n";
    out.flush();
    if (!out) throw std::runtime_error("cannot write the latencies to " + file);
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("A worker that runs nothing: it measures the orchestrator's overhead alone.");
    SessionOptions options;
    int sessions = 1;
    std::string latencies;
    app.add_option("steps", options.steps_endpoint, "where the orchestrator publishes steps")->required();
    app.add_option("results", options.results_endpoint, "where it receives results")->required();
    app.add_option("capacity", options.capacity, "steps at once, of each session (200)")
        ->check(CLI::Range(1, 100000));
    app.add_option("handler_class", options.handler_class,
                   "served handler classes, a trailing * allowed (*)");
    app.add_option("namespace", options.namespace_name, "served namespace (*)");
    app.add_option("--sessions", sessions, "sessions in this process, each with sockets of its own (1)")
        ->check(CLI::Range(1, 10000));
    app.add_option("--latencies", latencies,
                   "at the end, write a histogram of the times from sending a task's result to receiving its "
                   "next step to this file, as JSON");
    app.footer("Ends on SIGTERM. Example: tasker-bench-worker ipc:///tmp/steps ipc:///tmp/results 100");
    CLI11_PARSE(app, argc, argv);
    try {
        const auto signals_while_waiting = catch_signals();
        Worker worker(options, sessions);
        worker.run(signals_while_waiting);
        if (!latencies.empty()) write_latencies(latencies, worker.next_step());
    } catch (const std::exception& error) {
        std::fprintf(stderr, "tasker-bench-worker: %s\n", error.what());
        return 1;
    }
    return 0;
}
