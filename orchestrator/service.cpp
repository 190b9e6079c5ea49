#include "orchestrator/service.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <zmq.hpp>

#include "orchestrator/engine/caretaker.hpp"
#include "orchestrator/engine/io_loop.hpp"
#include "orchestrator/engine/lane_router.hpp"
#include "orchestrator/engine/listener.hpp"
#include "orchestrator/engine/retention.hpp"
#include "orchestrator/lanes.hpp"
#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/standby.hpp"
#include "orchestrator/store/housekeeping_store.hpp"
#include "orchestrator/store/migrator.hpp"
#include "orchestrator/store/retention_store.hpp"
#include "orchestrator/store/turn_store.hpp"
#include "orchestrator/transport/bound_socket.hpp"
#include "orchestrator/util/event_fd.hpp"
#include "orchestrator/util/log.hpp"
#include "orchestrator/util/time.hpp"

namespace tasker {
namespace {

namespace log = util::log;
using std::chrono::milliseconds;

class BootClock final : public ports::Clock {
  public:
    milliseconds boot_time() const override { return util::boot_time(); }
    std::string wall_time_rfc3339() const override { return util::rfc3339_utc_now(); }
};

/// SIGTERM and friends as a file descriptor.
class SignalFd {
  public:
    SignalFd() {
        sigset_t signals;
        sigemptyset(&signals);
        for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
        fd_ = ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
        if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
    }
    ~SignalFd() { ::close(fd_); }
    SignalFd(const SignalFd&) = delete;
    SignalFd& operator=(const SignalFd&) = delete;
    int fd() const { return fd_; }
    /// Waits at most `timeout`; true when a signal has come.
    bool wait(milliseconds timeout) const {
        pollfd item{fd_, POLLIN, 0};
        return ::poll(&item, 1, static_cast<int>(timeout.count())) > 0;
    }

  private:
    int fd_ = -1;
};

std::string random_id() {
    std::random_device device;
    std::array<char, 9> text{};
    std::snprintf(text.data(), text.size(), "%08x", device());
    return text.data();
}

store::Instance describe_instance() {
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    store::Instance instance;
    instance.host = host.data();
    instance.pid = ::getpid();
    instance.id = "orchestrator-" + random_id();
    return instance;
}

engine::IoOptions io_options(const options::Options& options, const std::string& instance,
                             std::int64_t epoch) {
    engine::IoOptions io;
    io.orchestrator_id = instance;
    io.epoch = epoch;
    io.lanes = options.database.lanes;
    io.steps_endpoint = options.endpoints.steps.bind;
    io.results_endpoint = options.endpoints.results.bind;
    io.command_endpoint = options.endpoints.command.bind;
    io.heartbeat = options.timers.heartbeat;
    io.suspect_after = options.timers.suspect_after;
    io.lease = options.timers.lease;
    io.disconnect_grace = options.timers.disconnect_grace;
    io.accept_timeout = options.timers.accept_timeout;
    io.start_window = options.timers.start_window;
    io.resend = options.timers.resend;
    io.accept_resends = options.delivery.accept_resends;
    io.step_queue_hwm = options.delivery.step_queue_hwm;
    io.plain_batch_steps_max = options.delivery.batch_size;
    io.limits.batch_bytes = options.limits.batch_bytes;
    io.limits.result_bytes = options.limits.result_bytes;
    io.limits.depth = options.limits.depth;
    return io;
}

engine::ListenerOptions listener_options(const options::Options& options, const std::string& instance,
                                         std::int64_t epoch) {
    engine::ListenerOptions listener;
    listener.orchestrator_id = instance;
    listener.epoch = epoch;
    listener.batch_size = options.delivery.batch_size;
    listener.batch_bytes_max = options.limits.batch_bytes;
    listener.result_bytes_max = options.limits.result_bytes;
    listener.reconcile_grace = options.timers.reconcile_grace;
    listener.timeout_grace = options.timers.timeout_grace;
    listener.suspect_after = options.timers.suspect_after;
    listener.lease = options.timers.lease;
    listener.reconnect_max = options.database.reconnect_max;
    return listener;
}

class Service {
  public:
    explicit Service(const options::Options& options)
        : options_(options),
          instance_(describe_instance()),
          router_(options.database.lanes, static_cast<std::size_t>(options.delivery.result_queue_hwm)) {}

    ServiceExit run();

  private:
    std::unique_ptr<store::TurnStore> connect();
    bool stand_by();
    std::unique_ptr<engine::IoSockets> bind_sockets(const engine::IoOptions& io);
    ServiceExit serve();
    void start_threads();
    void stop_threads();
    nlohmann::json health(bool detailed) const;
    void lane_ended(std::exception_ptr why);
    void end(ServiceExit exit) {
        exit_ = exit;
        ended_.notify();
    }

    const options::Options& options_;
    store::Instance instance_;
    SignalFd signals_;
    util::EventFd ended_;    // a thread has ended by itself
    util::EventFd stopped_;  // wakes the wake thread
    std::atomic<bool> stopping_{false};
    std::atomic<ServiceExit> exit_{ServiceExit::ok};
    BootClock clock_;
    zmq::context_t context_;
    engine::LaneRouter router_;
    std::int64_t epoch_ = 0;
    milliseconds started_{util::boot_time()};
    std::unique_ptr<store::TurnStore> first_;     // of lane 0; holds the instance lock
    std::unique_ptr<engine::IoSockets> sockets_;  // bound while standing by
    bool stood_by_ = false;
    std::unique_ptr<engine::SharedRegistry> registry_;
    std::unique_ptr<engine::IoLoop> io_;
    std::unique_ptr<engine::Caretaker> caretaker_;
    std::unique_ptr<engine::Retention> retention_;
    std::unique_ptr<Lanes> lanes_;
    std::thread caretaker_thread_, retention_thread_, wake_thread_;
};

// Keeps trying until the database answers or somebody stops us: at boot it may simply come later than we do.
std::unique_ptr<store::TurnStore> Service::connect() {
    milliseconds pause{100};
    while (true) {
        try {
            store::Connection connection(options_.database.url);
            const auto schema = store::check_schema(connection);
            if (schema.verdict != store::SchemaVerdict::ok) {
                log::error(schema.message);
                exit_ = ServiceExit::schema;
                return nullptr;
            }
            return std::make_unique<store::TurnStore>(options_.database.url, instance_,
                                                      store::Lane{0, options_.database.lanes});
        } catch (const store::DatabaseError& error) {
            if (!error.connection_is_gone()) throw;
            log::error("database not reachable, trying again",
                       {{"cause", error.what()}, {"next_try_ms", pause.count()}});
        } catch (const ports::DatabaseError& error) {
            log::error("database not reachable, trying again",
                       {{"cause", error.what()}, {"next_try_ms", pause.count()}});
        }
        if (signals_.wait(pause)) return nullptr;
        pause = std::min(pause * 2, options_.database.reconnect_max);
    }
}

ServiceExit Service::run() {
    while (epoch_ == 0) {
        first_ = connect();
        if (!first_) return exit_;
        try {
            if (!first_->take_instance_lock() && !stand_by()) return exit_;
            epoch_ = first_->begin_epoch();
        } catch (const ports::DatabaseError& error) {
            // It went away again. Should the epoch have been begun all the same, the next one is higher.
            if (!ports::may_pass(error.fault())) throw;
            log::error("database connection lost during the start, trying again", {{"cause", error.what()}});
            if (signals_.wait(milliseconds(500))) return exit_;
        }
    }
    return serve();
}

// Binds early where its endpoints are its own, so that workers are connected when it takes over. With the
// endpoints of the one that serves it can only bind after that one has ended.
bool Service::stand_by() {
    stood_by_ = true;
    const std::string holder = first_->lock_holder();
    if (!sockets_) {
        try {
            sockets_ = std::make_unique<engine::IoSockets>(context_, io_options(options_, instance_.id, 0));
        } catch (const transport::BindError& error) {
            log::info("the endpoints are in use: they are bound when this standby takes over",
                      {{"cause", error.what()}});
        }
    }
    std::printf("tasker-orchestrator standby instance=%s holder=\"%s\"\n", instance_.id.c_str(),
                holder.c_str());
    std::fflush(stdout);
    log::info("another orchestrator serves this database; waiting as its standby", {{"holder", holder}});
    const bool taken = Standby(*first_, sockets_.get(), instance_.id, [this](milliseconds timeout) {
                           return signals_.wait(timeout);
                       }).wait_for_lock();
    log::info(taken ? "the instance lock is free: taking over" : "stopped while standing by");
    return taken;
}

// The endpoints of a predecessor that is frozen stay bound until somebody ends it. Null: told to stop.
std::unique_ptr<engine::IoSockets> Service::bind_sockets(const engine::IoOptions& io) {
    if (sockets_) return std::move(sockets_);
    const milliseconds give_up = util::boot_time() + (stood_by_ ? milliseconds::max() / 2 : milliseconds{0});
    milliseconds next_word = util::boot_time();
    while (true) {
        try {
            return std::make_unique<engine::IoSockets>(context_, io);
        } catch (const transport::BindError& error) {
            if (util::boot_time() >= give_up) throw;
            if (util::boot_time() >= next_word) {
                log::error(
                    "cannot bind yet; give a standby endpoints of its own and workers both, or end what "
                    "holds them",
                    {{"cause", error.what()}});
                next_word = util::boot_time() + milliseconds(5000);
            }
        }
        // Nothing signals that an endpoint is free.
        if (signals_.wait(milliseconds(100))) return nullptr;
        first_->beat(epoch_);  // throws when somebody else has taken over meanwhile
    }
}

ServiceExit Service::serve() {
    const auto io = io_options(options_, instance_.id, epoch_);
    registry_ = std::make_unique<engine::SharedRegistry>(engine::registry_settings(io), &router_);
    try {
        auto sockets = bind_sockets(io);
        if (!sockets) return exit_;
        io_ = std::make_unique<engine::IoLoop>(std::move(sockets), io, *registry_, router_,
                                               [this](bool detailed) { return health(detailed); });
    } catch (const transport::BindError& error) {
        log::error(error.what());
        return ServiceExit::bad_settings;
    }
    start_threads();
    std::printf("tasker-orchestrator ready instance=%s epoch=%lld steps=%s results=%s command=%s\n",
                instance_.id.c_str(), static_cast<long long>(epoch_), io_->steps_endpoint().c_str(),
                io_->results_endpoint().c_str(), io_->command_endpoint().c_str());
    std::fflush(stdout);
    log::info("ready", {{"instance", instance_.id}, {"epoch", epoch_}, {"steps", io_->steps_endpoint()}});

    std::array<pollfd, 2> items{{{signals_.fd(), POLLIN, 0}, {ended_.fd(), POLLIN, 0}}};
    while (::poll(items.data(), items.size(), -1) < 0 && errno == EINTR) {
    }
    log::info("stopping");
    stop_threads();
    log::info("stopped");
    return exit_;
}

void Service::start_threads() {
    const nlohmann::json endpoints = {{"steps", io_->steps_endpoint()},
                                      {"results", io_->results_endpoint()},
                                      {"command", io_->command_endpoint()}};
    engine::Caretaker::Duties duties;
    duties.sessions = [this] { return registry_->snapshot(); };
    const auto superseded = [this] {
        log::error("another orchestrator has taken over this database; this one stops at once");
        end(ServiceExit::superseded);
    };
    duties.epoch_lost = superseded;
    duties.endpoints_json = endpoints.dump();
    caretaker_ = std::make_unique<engine::Caretaker>(
        [this] { return std::make_unique<store::HousekeepingStore>(options_.database.url, epoch_); },
        std::move(duties));

    engine::Retention::Duties tidy;
    tidy.settings.days = options_.retention.days;
    tidy.settings.partition_rows = options_.retention.partition_rows;
    tidy.settings.look_again = 10 * options_.retention.check_interval;
    tidy.check_interval = options_.retention.check_interval;
    tidy.epoch_lost = superseded;
    retention_ = std::make_unique<engine::Retention>(
        [this] { return std::make_unique<store::RetentionStore>(options_.database.url, epoch_); },
        std::move(tidy));

    lanes_ = std::make_unique<Lanes>(
        listener_options(options_, instance_.id, epoch_),
        Lanes::Surroundings{options_.database.url, instance_, *io_, *registry_, router_, clock_,
                            [this](std::vector<std::int64_t> ids) { caretaker_->announce(std::move(ids)); },
                            stopping_, [this](std::exception_ptr why) { lane_ended(std::move(why)); }},
        std::move(first_));

    // Open batches are adopted before the first session can come.
    lanes_->prepare();
    io_->start();
    lanes_->start();
    caretaker_thread_ = std::thread([this] { caretaker_->run(); });
    retention_thread_ = std::thread([this] { retention_->run(); });
    wake_thread_ = std::thread([this] {
        engine::WakeListener(
            [this] { return std::make_unique<store::WakeConnection>(options_.database.url); }, router_,
            stopping_, stopped_.fd())
            .run();
    });
}

void Service::lane_ended(std::exception_ptr why) {
    try {
        if (why) std::rethrow_exception(why);
        if (io_->failure().empty()) return;
        log::error("the io thread has ended", {{"cause", io_->failure()}});
        end(ServiceExit::failed);
    } catch (const ports::EpochLost&) {
        log::error("another orchestrator has taken over this database; this one stops at once");
        end(ServiceExit::superseded);
    } catch (const std::exception& error) {
        log::error("a lane has failed", {{"cause", error.what()}});
        end(ServiceExit::failed);
    }
}

// Dispatch stops first; what was heard is still written and acknowledged; then the sockets close.
void Service::stop_threads() {
    stopping_ = true;
    io_->refuse_new_sessions();
    retention_->stop();
    stopped_.notify();
    router_.close();
    lanes_->join();
    io_->stop();
    wake_thread_.join();
    caretaker_->stop();
    caretaker_thread_.join();
    retention_thread_.join();
}

nlohmann::json Service::health(bool detailed) const {
    const bool reachable = lanes_->database_reachable();
    nlohmann::json reply = {{"status", reachable ? "healthy" : "degraded"},
                            {"database", reachable ? "reachable" : "unreachable"},
                            {"instance", instance_.id},
                            {"epoch", epoch_},
                            {"uptime_ms", (util::boot_time() - started_).count()}};
    if (!detailed) return reply;
    const auto& io = io_->counters();
    reply["listener"] = lanes_->counts();
    reply["lanes"] = lanes_->counts_by_lane();
    reply["io"] = {{"batches_sent", io.batches_sent.load()},
                   {"batches_resent", io.batches_resent.load()},
                   {"batches_undelivered", io.batches_undelivered.load()},
                   {"sends_blocked", io.sends_blocked.load()},
                   {"reports_received", io.reports_received.load()},
                   {"reports_dropped", io.reports_dropped.load()},
                   {"malformed", io.malformed.load()},
                   {"heartbeats_received", io.heartbeats_received.load()},
                   {"credit_in_flight", io.credit_in_flight.load()}};
    auto& workers = reply["workers"] = nlohmann::json::array();
    for (const auto& view : registry_->snapshot()) {
        workers.push_back({{"session", view.spec.session},
                           {"worker_id", view.spec.worker_id},
                           {"language", view.spec.language},
                           {"state", core::to_text(view.state)},
                           {"in_flight", view.in_flight},
                           {"capacity", view.spec.capacity}});
    }
    return reply;
}

}  // namespace

ServiceExit run_service(const options::Options& options) {
    try {
        return Service(options).run();
    } catch (const ports::EpochLost&) {
        log::error("another orchestrator has taken over this database");
        return ServiceExit::superseded;
    } catch (const std::exception& error) {
        log::error("the orchestrator has failed", {{"cause", error.what()}});
        return ServiceExit::failed;
    }
}

}  // namespace tasker
