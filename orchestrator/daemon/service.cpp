#include "orchestrator/daemon/service.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <zmq.hpp>

#include "orchestrator/daemon/clock.hpp"
#include "orchestrator/daemon/engine_options.hpp"
#include "orchestrator/daemon/health.hpp"
#include "orchestrator/daemon/lanes.hpp"
#include "orchestrator/daemon/signals.hpp"
#include "orchestrator/daemon/standby.hpp"
#include "orchestrator/daemon/start_templates.hpp"
#include "orchestrator/engine/io/loop.hpp"
#include "orchestrator/engine/turns/lane_router.hpp"
#include "orchestrator/engine/turns/listener.hpp"
#include "orchestrator/engine/upkeep/caretaker.hpp"
#include "orchestrator/engine/upkeep/notify_relay.hpp"
#include "orchestrator/engine/upkeep/retention.hpp"
#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/postgres/migrator.hpp"
#include "orchestrator/store/housekeeping_store.hpp"
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

class Service {
  public:
    explicit Service(const options::Options& options)
        : options_(options),
          database_(database_address(options.database, signals_.fd())),
          templates_(options),
          instance_(describe_instance()),
          router_(lane_router(options)) {}

    ServiceExit run();

  private:
    std::unique_ptr<store::TurnStore> connect();
    std::unique_ptr<store::TurnStore> try_to_connect();
    bool rest();
    bool stand_by();
    void load_templates() const;
    std::unique_ptr<engine::IoSockets> bind_sockets(const engine::IoOptions& io);
    ServiceExit serve();
    void make_parts();
    void start_threads();
    void stop_threads();
    nlohmann::json health(bool detailed) const;
    void lane_ended(std::exception_ptr why);
    void end(ServiceExit exit) {
        exit_ = exit;
        ended_.notify();
    }

    const options::Options& options_;
    SignalFd signals_;
    const postgres::Address database_;  // a signal cuts connecting short
    const StartTemplates templates_;
    store::Instance instance_;
    util::EventFd ended_;    // a thread has ended by itself
    util::EventFd stopped_;  // wakes the notify relay
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
    milliseconds pause_{100};  // before the next try to start
    std::unique_ptr<engine::SharedRegistry> registry_;
    std::unique_ptr<engine::IoLoop> io_;
    std::unique_ptr<engine::Caretaker> caretaker_;
    std::unique_ptr<engine::Retention> retention_;
    std::unique_ptr<Lanes> lanes_;
    std::thread caretaker_thread_, retention_thread_, wake_thread_;
};

// Null: it is not to be served as it is, and exit_ says so.
std::unique_ptr<store::TurnStore> Service::try_to_connect() {
    postgres::Connection connection(database_);
    const auto schema = postgres::check_schema(connection);
    if (schema.verdict != postgres::SchemaVerdict::ok) {
        log::error(schema.message);
        exit_ = ServiceExit::schema;
        return nullptr;
    }
    auto lane =
        std::make_unique<store::TurnStore>(database_, instance_, store::Lane{0, options_.database.lanes});
    if (const auto& risk = connection.ground().risk; !risk.empty()) log::warning(risk);
    return lane;
}

// Keeps trying until the database answers and takes writes, or somebody stops us: at boot it may simply come
// later than we do.
std::unique_ptr<store::TurnStore> Service::connect() {
    while (true) {
        const char* what = "database not reachable, trying again";
        std::string cause;
        try {
            return try_to_connect();
        } catch (const postgres::DatabaseError& error) {
            if (!error.connection_is_gone()) throw;
            cause = error.what();
        } catch (const ports::DatabaseError& error) {
            if (!ports::may_pass(error.fault())) throw;
            if (error.fault() == ports::DatabaseFault::refused)
                what = "the database refuses to serve, trying again";
            cause = error.what();
        }
        if (signals_.wait(milliseconds(0))) return nullptr;
        log::error(what, {{"cause", cause}, {"next_try_ms", pause_.count()}});
        if (!rest()) return nullptr;
    }
}

// Longer each time. False: the service stops.
bool Service::rest() {
    const auto pause = std::exchange(pause_, std::min(pause_ * 2, options_.database.reconnect_max));
    return !signals_.wait(pause);
}

ServiceExit Service::run() {
    if (!templates_.check()) return ServiceExit::bad_settings;
    while (epoch_ == 0) {
        first_ = connect();
        if (!first_) return exit_;
        const char* what = "database connection lost during the start, trying again";
        std::string cause;
        try {
            if (!first_->take_instance_lock() && !stand_by()) return exit_;
            load_templates();
            epoch_ = first_->begin_epoch();
        } catch (const ports::DatabaseError& error) {
            // It went away again. Should the epoch have been begun all the same, the next one is higher.
            if (!ports::may_pass(error.fault())) throw;
            if (error.fault() == ports::DatabaseFault::refused)
                what = "the database refuses the start, trying again";
            cause = error.what();
        } catch (const postgres::DatabaseError& error) {
            if (!error.connection_is_gone()) throw;
            cause = error.what();
        }
        if (epoch_ != 0) break;
        log::error(what, {{"cause", cause}, {"next_try_ms", pause_.count()}});
        if (!rest()) return exit_;
    }
    return serve();
}

// Under the instance lock, so that of several orchestrators only the one that is about to serve loads them.
void Service::load_templates() const {
    if (!templates_.wanted()) return;
    postgres::Connection connection(database_, {.application_name = "tasker-orchestrator templates"});
    templates_.load(connection);
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

// The endpoints of a predecessor that is frozen stay bound until somebody ends it. Null: the service stops.
std::unique_ptr<engine::IoSockets> Service::bind_sockets(const engine::IoOptions& io) {
    if (sockets_) return std::move(sockets_);
    const milliseconds give_up = util::boot_time() + (stood_by_ ? milliseconds::max() / 2 : milliseconds{0});
    milliseconds next_log = util::boot_time();
    while (true) {
        try {
            return std::make_unique<engine::IoSockets>(context_, io);
        } catch (const transport::BindError& error) {
            if (util::boot_time() >= give_up) throw;
            if (util::boot_time() >= next_log) {
                log::error(
                    "cannot bind yet; give a standby endpoints of its own and workers both, or end what "
                    "holds them",
                    {{"cause", error.what()}});
                next_log = util::boot_time() + milliseconds(5000);
            }
        }
        // Nothing signals that an endpoint is free.
        if (signals_.wait(milliseconds(100))) return nullptr;
        first_->beat(epoch_);  // throws when somebody else has taken over meanwhile
    }
}

ServiceExit Service::serve() {
    auto io = io_options(options_, instance_.id, epoch_);
    io.installation = first_->installation_uuid();
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
    make_parts();
    start_threads();
    std::printf("tasker-orchestrator ready instance=%s epoch=%lld steps=%s results=%s command=%s\n",
                instance_.id.c_str(), static_cast<long long>(epoch_), io_->steps_endpoint().c_str(),
                io_->results_endpoint().c_str(), io_->command_endpoint().c_str());
    std::fflush(stdout);
    // On a terminal the line above is the same news.
    if (::isatty(STDOUT_FILENO) == 0 || ::isatty(STDERR_FILENO) == 0)
        log::info("ready", {{"instance", instance_.id}, {"epoch", epoch_}, {"steps", io_->steps_endpoint()}});

    std::array<pollfd, 2> items{{{signals_.fd(), POLLIN, 0}, {ended_.fd(), POLLIN, 0}}};
    while (::poll(items.data(), items.size(), -1) < 0 && errno == EINTR) {
    }
    log::info("stopping");
    stop_threads();
    log::info("stopped");
    return exit_;
}

void Service::make_parts() {
    const auto superseded = [this] {
        log::error("another orchestrator has taken over this database; this one stops at once");
        end(ServiceExit::superseded);
    };
    engine::Caretaker::Hooks care;
    care.sessions = [this] { return registry_->snapshot(); };
    care.epoch_lost = superseded;
    care.endpoints_json = nlohmann::json{{"steps", io_->steps_endpoint()},
                                         {"results", io_->results_endpoint()},
                                         {"command", io_->command_endpoint()}}
                              .dump();
    caretaker_ = std::make_unique<engine::Caretaker>(
        [this] { return std::make_unique<store::HousekeepingStore>(database_, epoch_); }, std::move(care));
    retention_ = std::make_unique<engine::Retention>(
        [this] { return std::make_unique<store::RetentionStore>(database_, epoch_); },
        engine::Retention::Hooks{options_.retention, superseded});
    lanes_ = std::make_unique<Lanes>(
        listener_options(options_, instance_.id, epoch_),
        Lanes::Dependencies{database_, instance_, *io_, *registry_, router_, clock_,
                            [this](std::vector<std::int64_t> ids) { caretaker_->announce(std::move(ids)); },
                            stopping_, [this](std::exception_ptr why) { lane_ended(std::move(why)); }},
        std::move(first_));
}

void Service::start_threads() {
    // Open batches are adopted before the first session can come.
    lanes_->prepare();
    io_->start();
    lanes_->start();
    caretaker_thread_ = std::thread([this] { caretaker_->run(); });
    retention_thread_ = std::thread([this] { retention_->run(); });
    wake_thread_ = std::thread([this] {
        engine::NotifyRelay([this] { return std::make_unique<store::WakeConnection>(database_); }, router_,
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

// Dispatch stops first; what was received is still written and acknowledged; then the sockets close.
void Service::stop_threads() {
    stopping_ = true;
    io_->send(ports::RefuseSessions{});
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
    return health_document({instance_.id, epoch_, util::boot_time() - started_, lanes_->counters(),
                            io_->counters(), [this] { return registry_->snapshot(); }},
                           detailed);
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
