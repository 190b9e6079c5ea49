#include "orchestrator/engine/io/loop.hpp"

#include <algorithm>
#include <random>
#include <set>
#include <stdexcept>
#include <utility>

#include "orchestrator/engine/io/round.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;

core::RegistrySettings registry_settings(const IoOptions& options) {
    core::RegistrySettings settings;
    settings.heartbeat = options.timers.heartbeat;
    settings.suspect_after = options.timers.suspect_after;
    settings.lease = options.timers.lease;
    settings.unproven = std::max(kUnprovenMin, kUnprovenLeases * options.timers.lease);
    settings.disconnect_grace = options.timers.disconnect_grace;
    settings.plain_batch_steps_max = options.delivery.batch_size;
    settings.lanes = options.lanes;
    settings.nonce_prefix =
        std::to_string(options.epoch) + "-" + std::to_string(std::random_device{}()) + "-";
    return settings;
}

IoLoop::IoLoop(std::unique_ptr<IoSockets> sockets, IoOptions options, SharedRegistry& registry,
               LaneRouter& router, HealthSource health)
    : options_(std::move(options)), registry_(registry), router_(router), health_(std::move(health)) {
    sockets->open();
    round_ = std::make_unique<IoRound>(std::move(sockets), options_, registry_, router_, health_, counters_);
    steps_endpoint_ = round_->sockets().steps.endpoint();
    results_endpoint_ = round_->sockets().results.endpoint();
    command_endpoint_ = round_->sockets().commands.endpoint();
}

IoLoop::~IoLoop() {
    stop();
    round_.reset();
}

void IoLoop::start() {
    const milliseconds now = util::boot_time();
    // Sessions of the time before need a lease to come back and announce what they serve.
    registry_.with([&](auto& registry) {
        registry.open_plain_mode(now + options_.timers.lease);
        registry.open_returns(now + options_.timers.lease);
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
            round_->wait(wake_);
            stop = stopping_.load();  // read before the queue, so that what was sent before stop() is in it
            round_->read_sockets();
            for (auto& message : take_queued()) round_->carry_out(std::move(message));
            round_->finish_round();
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
    round_.reset();  // closes the sockets in the thread that used them
}

std::string IoLoop::failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
}

// ---------------------------------------------------------------- messages of other threads

void IoLoop::send(ports::Outbound message) {
    if (const auto* adoption = std::get_if<ports::AdoptBatches>(&message)) take_credit(*adoption);
    bool first = false;
    {
        const std::lock_guard lock(mutex_);
        first = queued_.empty();
        queued_.push_back(std::move(message));
    }
    if (first) wake_.notify();
}

std::vector<ports::Outbound> IoLoop::take_queued() {
    const std::lock_guard lock(mutex_);
    return std::exchange(queued_, {});
}

void IoLoop::take_credit(const ports::AdoptBatches& adoption) {
    std::set<std::string_view> open;
    for (const auto& adopted : adoption.batches) open.insert(adopted.batch.batch_uuid);
    // What ended in a turn whose answer was lost is not open any more; nothing else would ever end it here.
    auto ended =
        registry_.with([&](auto& registry) { return registry.flights().open_batches(adoption.lane); });
    std::erase_if(ended, [&](const std::string& uuid) { return open.contains(uuid); });
    if (!ended.empty()) send(ports::ForgetBatches{std::move(ended)});
    registry_.with([&](auto& registry) {
        for (const auto& adopted : adoption.batches) {
            core::TakenBatch taken{adopted.batch.batch_uuid,
                                   adopted.batch.session,
                                   adopted.batch.handler_class,
                                   {},
                                   adoption.lane};
            for (const auto& step : adopted.batch.steps) taken.step_ids.push_back(step.step_id);
            registry.adopt(std::move(taken));
        }
    });
}

}  // namespace tasker::engine
