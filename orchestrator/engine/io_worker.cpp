#include "orchestrator/engine/io_worker.hpp"

#include <algorithm>
#include <utility>

#include "orchestrator/util/crash_point.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;
namespace {

// Messages read from one socket before the others and the timers get their turn.
constexpr int kBudget = 256;

}  // namespace

IoLoop::Worker::Worker(std::unique_ptr<IoSockets> sockets, const IoOptions& options, SharedRegistry& registry,
                       LaneRouter& router, const HealthSource& health, IoCounters& counters)
    : options_(options),
      registry_(registry),
      health_(health),
      counters_(counters),
      sockets_(std::move(sockets)),
      sender_(sockets_->steps, {options.orchestrator_id, options.epoch}, counters),
      post_(router, counters),
      dispatch_(options, registry, sender_, post_, counters),
      inventory_(options, registry, sender_, post_, dispatch_, counters),
      sessions_(options, registry, sender_, post_, dispatch_, inventory_, counters),
      receiver_(options, registry, sessions_, dispatch_, post_, counters),
      round_at_(util::boot_time()) {}

// ---------------------------------------------------------------- waiting and reading

milliseconds IoLoop::Worker::time_to_wait(milliseconds now) {
    if (more_waits_) return milliseconds{0};
    const milliseconds next = std::min(sessions_.next_deadline(), dispatch_.next_deadline());
    return std::clamp(next - now, milliseconds{0}, options_.heartbeat);
}

void IoLoop::Worker::wait(const util::EventFd& wake) {
    std::array<zmq::pollitem_t, 4> items = {sockets_->steps.poll_item(), sockets_->results.poll_item(),
                                            sockets_->commands.poll_item(),
                                            zmq::pollitem_t{nullptr, wake.fd(), ZMQ_POLLIN, 0}};
    transport::wait_for(items, time_to_wait(util::boot_time()));
    wake.drain();
}

void IoLoop::Worker::read_sockets() {
    now_ = util::boot_time();
    const bool paused = now_ - std::exchange(round_at_, now_) > options_.suspect_after;
    more_waits_ = false;
    do {
        const bool subscriptions_left = read_subscriptions(kBudget);
        const bool results_left = read_results(kBudget);
        const bool commands_left = read_commands(kBudget);
        more_waits_ = subscriptions_left || results_left || commands_left;
        if (!results_left) heard_until_ = now_;
        if (paused) post_.flush();
    } while (paused && more_waits_);
    if (!paused) return;
    // Everybody was silent only because this process slept, or the machine did: what waited has been read,
    // and from here on all leases and waits count anew.
    count(counters_.pauses_detected);
    log::warning("this process was stopped for a while; leases of workers begin anew");
    registry_.with([&](auto& registry) { registry.restart_leases(now_); });
    dispatch_.restart_timers(now_);
}

bool IoLoop::Worker::read_subscriptions(int budget) {
    for (; budget > 0; --budget) {
        const auto change = sockets_->next_change();
        if (!change) return false;
        sessions_.on_subscription(*change, now_);
    }
    return true;
}

bool IoLoop::Worker::read_results(int budget) {
    using Received = transport::ResultsSubscriber::Received;
    for (; budget > 0; --budget) {
        std::string_view frame;
        switch (sockets_->results.receive(frame)) {
            case Received::nothing:
                return false;
            case Received::frame:
                receiver_.on_frame(frame, now_);
                break;
            case Received::multipart:
                receiver_.on_multipart(frame);
                break;
        }
    }
    return true;
}

bool IoLoop::Worker::read_commands(int budget) {
    for (; budget > 0; --budget) {
        auto request = sockets_->commands.receive();
        if (!request) return false;
        count(counters_.commands);
        const std::string reply =
            request->well_formed ? answer_command(request->body, health_) : answer_malformed_command();
        if (!sockets_->commands.reply(*request, reply)) log::debug("a client left before its reply");
    }
    return true;
}

void IoLoop::Worker::finish_round() {
    // Sends and calls took time, but timers count from the begin of the round: what arrived since is unread.
    // Batches before heartbeats: with both due at once again and again, a short queue would take the
    // heartbeat each time and never the batch.
    dispatch_.check_acceptance(heard_until_);
    sessions_.tick(now_, heard_until_);
    sessions_.report_changes();
    post_.flush();
}

// ---------------------------------------------------------------- the listener's calls

void IoLoop::Worker::carry_out(std::vector<ports::OutboundBatch> batches) {
    for (auto& batch : batches) dispatch_.publish(std::move(batch), now_);
    util::crash_point("after_publish");
}

void IoLoop::Worker::carry_out(Adopt call) {
    for (auto& batch : call.batches) dispatch_.adopt(std::move(batch), now_);
    inventory_.trust(call.lane);
}

void IoLoop::Worker::carry_out(std::vector<ports::AckList> acks) {
    for (auto& list : acks) {
        protocol::Ack ack;
        ack.session = std::move(list.session);
        ack.batches.reserve(list.batches.size());
        for (auto& batch : list.batches) {
            ack.batches.push_back({std::move(batch.batch_uuid), std::move(batch.sequences)});
        }
        for (auto& rejected : list.rejected) {
            ack.rejected.push_back(
                {std::move(rejected.batch_uuid), rejected.sequence, std::move(rejected.code)});
        }
        // An ack that finds no room is not repeated: the worker sends its reports again and is acked then.
        if (sender_.control(ack.session, ack)) count(counters_.acks_sent);
    }
}

void IoLoop::Worker::carry_out(RequestReports call) {
    protocol::ReportRequest request;
    request.session = std::move(call.session);
    request.batch_id = std::move(call.batch_uuid);
    request.step_ids = std::move(call.step_ids);
    sender_.control(request.session, request);
}

void IoLoop::Worker::carry_out(CancelSteps call) {
    protocol::Cancel cancel;
    cancel.session = std::move(call.session);
    cancel.reason = std::move(call.reason);
    for (const auto& step : call.steps) cancel.steps.push_back({call.batch_uuid, step.step_id, step.attempt});
    if (call.ended) {
        registry_.with([&](auto& registry) {
            for (const auto& step : call.steps) registry.give_back(call.batch_uuid, step.step_id, true);
        });
    }
    sender_.control(cancel.session, cancel);
}

void IoLoop::Worker::carry_out(const ports::StartAnswer& answer) {
    if (answer.refusal.empty()) {
        protocol::StartGranted granted;
        granted.session = answer.session;
        granted.batch_id = answer.batch_uuid;
        granted.step_id = answer.step_id;
        granted.attempt = answer.attempt;
        granted.n = answer.n;
        granted.start_window_ms = options_.start_window.count();
        sender_.control(answer.session, granted);
        return;
    }
    protocol::StartDenied denied;
    denied.session = answer.session;
    denied.batch_id = answer.batch_uuid;
    denied.step_id = answer.step_id;
    denied.attempt = answer.attempt;
    denied.n = answer.n;
    denied.reason = answer.refusal;
    sender_.control(answer.session, denied);
}

void IoLoop::Worker::carry_out(const SuspectSession& call) {
    registry_.with([&](auto& registry) { registry.on_batch_ignored(call.session, now_); });
}

void IoLoop::Worker::carry_out(DrainSession call) {
    registry_.with([&](auto& registry) { registry.on_drain(call.session, now_); });
    protocol::Drain drain;
    drain.session = std::move(call.session);
    drain.deadline_ms = call.deadline_ms;
    sender_.control(drain.session, drain);
}

void IoLoop::Worker::carry_out(const Forget& call) {
    for (const std::string& batch_uuid : call.batch_uuids) dispatch_.forget(batch_uuid);
}

void IoLoop::Worker::carry_out(RefuseSessions) {
    sessions_.refuse_new_sessions();
}

}  // namespace tasker::engine
