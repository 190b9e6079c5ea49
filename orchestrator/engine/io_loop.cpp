#include "orchestrator/engine/io_loop.hpp"

#include <random>
#include <set>
#include <stdexcept>
#include <utility>

#include "orchestrator/engine/io_worker.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;

core::RegistrySettings registry_settings(const IoOptions& options) {
    core::RegistrySettings settings;
    settings.heartbeat = options.heartbeat;
    settings.suspect_after = options.suspect_after;
    settings.lease = options.lease;
    settings.disconnect_grace = options.disconnect_grace;
    settings.plain_batch_steps_max = options.plain_batch_steps_max;
    settings.lanes = options.lanes;
    settings.nonce_prefix =
        std::to_string(options.epoch) + "-" + std::to_string(std::random_device{}()) + "-";
    return settings;
}

IoLoop::IoLoop(std::unique_ptr<IoSockets> sockets, IoOptions options, SharedRegistry& registry,
               LaneRouter& router, HealthSource health)
    : options_(std::move(options)), registry_(registry), router_(router), health_(std::move(health)) {
    sockets->open();
    worker_ = std::make_unique<Worker>(std::move(sockets), options_, registry_, router_, health_, counters_);
    steps_endpoint_ = worker_->sockets().steps.endpoint();
    results_endpoint_ = worker_->sockets().results.endpoint();
    command_endpoint_ = worker_->sockets().commands.endpoint();
}

IoLoop::~IoLoop() {
    stop();
    worker_.reset();
}

void IoLoop::start() {
    const milliseconds now = util::boot_time();
    // Sessions of the time before need a lease to come back and announce what they serve.
    registry_.with([&](auto& registry) {
        registry.open_plain_mode(now + options_.lease);
        registry.open_returns(now + options_.lease);
    });
    thread_ = std::thread([this] { run(); });
}

void IoLoop::stop() {
    stopping_.store(true);
    wake_.notify();
    if (thread_.joinable()) thread_.join();
}

void IoLoop::run() {
    try {
        bool stop = false;
        while (!stop) {
            worker_->wait(wake_);
            stop =
                stopping_.load();  // read before the calls, so that those made before stop() are among them
            worker_->read_sockets();
            for (Call& call : take_calls()) {
                std::visit([&](auto& what) { worker_->carry_out(std::move(what)); }, call);
            }
            worker_->finish_round();
        }
    } catch (const transport::ContextTerminated&) {
        log::debug("the io thread ends with its context");
    } catch (const std::exception& error) {
        log::error("the io thread failed", {{"cause", error.what()}});
        {
            const std::lock_guard lock(mutex_);
            failure_ = error.what();
        }
        router_.close();
    }
    worker_.reset();  // closes the sockets in the thread that used them
}

std::string IoLoop::failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
}

// ---------------------------------------------------------------- calls of other threads

void IoLoop::enqueue(Call call) {
    bool first = false;
    {
        const std::lock_guard lock(mutex_);
        first = calls_.empty();
        calls_.push_back(std::move(call));
    }
    if (first) wake_.notify();
}

std::vector<IoLoop::Call> IoLoop::take_calls() {
    const std::lock_guard lock(mutex_);
    std::vector<Call> calls;
    calls.swap(calls_);
    return calls;
}

void IoLoop::adopt(int lane, std::vector<ports::AdoptedBatch> batches) {
    std::set<std::string_view> open;
    for (const auto& adopted : batches) open.insert(adopted.batch.batch_uuid);
    // What ended in a turn whose answer was lost is not open any more; nobody else would ever say so.
    auto ended = registry_.with([&](auto& registry) { return registry.flights().open_batches(lane); });
    std::erase_if(ended, [&](const std::string& uuid) { return open.contains(uuid); });
    if (!ended.empty()) forget(std::move(ended));
    registry_.with([&](auto& registry) {
        for (const auto& adopted : batches) {
            core::TakenBatch taken{
                adopted.batch.batch_uuid, adopted.batch.session, adopted.batch.handler_class, {}, lane};
            for (const auto& step : adopted.batch.steps) taken.step_ids.push_back(step.step_id);
            registry.adopt(std::move(taken));
        }
    });
    enqueue(Adopt{lane, std::move(batches)});
}

void IoLoop::publish(std::vector<ports::OutboundBatch> batches) {
    enqueue(std::move(batches));
}

void IoLoop::acknowledge(std::vector<ports::AckList> acks) {
    enqueue(std::move(acks));
}

void IoLoop::request_reports(std::string session, std::string batch_uuid,
                             std::vector<std::int64_t> step_ids) {
    enqueue(RequestReports{std::move(session), std::move(batch_uuid), std::move(step_ids)});
}

void IoLoop::cancel_steps(std::string session, std::string batch_uuid,
                          std::vector<ports::DeliveredStep> steps, std::string reason, bool ended) {
    enqueue(
        CancelSteps{std::move(session), std::move(batch_uuid), std::move(steps), std::move(reason), ended});
}

void IoLoop::answer_start(ports::StartAnswer answer) {
    enqueue(std::move(answer));
}

void IoLoop::suspect_session(std::string session) {
    enqueue(SuspectSession{std::move(session)});
}

void IoLoop::drain_session(std::string session, std::int64_t deadline_ms) {
    enqueue(DrainSession{std::move(session), deadline_ms});
}

void IoLoop::forget(std::vector<std::string> batch_uuids) {
    enqueue(Forget{std::move(batch_uuids)});
}

void IoLoop::refuse_new_sessions() {
    enqueue(RefuseSessions{});
}

}  // namespace tasker::engine
