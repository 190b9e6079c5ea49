#include "orchestrator/engine/io/round.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <zmq.hpp>

#include "orchestrator/util/crash_point.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;
namespace {

// Messages read from one socket before the others and the timers get their turn.
constexpr int kBudget = 256;
// Frames of a flood that are dropped in between: each costs a fraction of a microsecond.
constexpr int kFloodBudget = 16 * kBudget;
// Large inventories cost milliseconds each: the others and the timers do not wait for hundreds of them.
constexpr milliseconds kReadAtMost{50};
constexpr std::size_t kLargeFrame = std::size_t{16} * 1024;
constexpr int kClockEvery = 32;
constexpr milliseconds kEndlessAlways{1000};

}  // namespace

IoRound::IoRound(std::unique_ptr<IoSockets> sockets, const IoOptions& options, SharedRegistry& registry,
                 LaneRouter& router, const HealthSource& health, IoCounters& counters)
    : options_(options),
      registry_(registry),
      health_(health),
      counters_(counters),
      sockets_(std::move(sockets)),
      gate_(options.peers, sockets_->results.endpoint()),
      sender_(*sockets_, options, counters),
      post_(router, counters, gate_),
      dispatch_(options, registry, sender_, post_, counters),
      inventory_(options, registry, sender_, post_, dispatch_, counters),
      sessions_(options, registry, sender_, post_, dispatch_, inventory_, counters),
      receiver_(options, registry, sessions_, dispatch_, post_, gate_, counters),
      running_at_(util::boot_time()) {}

// ---------------------------------------------------------------- waiting and reading

milliseconds IoRound::time_to_wait(milliseconds now) {
    if (more_waits_) return milliseconds{0};
    const milliseconds next = std::min(sessions_.next_deadline(), dispatch_.next_deadline());
    // An endless message wakes nobody.
    const milliseconds most = sockets_->is_watched() ? std::min(options_.timers.heartbeat, kGrowthEvery)
                                                     : options_.timers.heartbeat;
    return std::clamp(next - now, milliseconds{0}, most);
}

void IoRound::wait(const util::EventFd& wake) {
    std::array<zmq::pollitem_t, 4> items = {sockets_->steps.poll_item(), sockets_->results.poll_item(),
                                            sockets_->commands.poll_item(),
                                            zmq::pollitem_t{nullptr, wake.fd(), ZMQ_POLLIN, 0}};
    mark_running();
    transport::wait_for(items, time_to_wait(running_at_));
    wake.drain();
}

void IoRound::read_sockets() {
    mark_running();
    now_ = running_at_;
    const bool paused = std::exchange(longest_gap_, milliseconds{0}) > options_.timers.suspect_after;
    bool commands_left = false;
    do {
        const bool subscriptions_left = read_subscriptions(kBudget);
        const bool results_left = read_results(kBudget);
        commands_left = read_commands(kCommandsAtOnce);
        if (!results_left) heard_until_ = now_;
        if (paused) post_.flush();
        more_waits_ = subscriptions_left || results_left;
    } while (paused && more_waits_);
    more_waits_ = more_waits_ || commands_left;
    end_endless();
    if (!paused) return;
    // Everybody was silent only because this process slept, or the machine did: what waited has been read,
    // and from here on all leases and waits count anew.
    count(counters_.pauses_detected);
    log::warning("this process was stopped for a while; leases of workers begin anew");
    registry_.with([&](auto& registry) { registry.restart_leases(now_); });
    dispatch_.restart_timers(now_);
}

// While something waits unread, a connection may only look as if nothing whole came on it.
void IoRound::end_endless() {
    if (more_waits_ && now_ - endless_at_ < kEndlessAlways) return;
    endless_at_ = now_;
    count(counters_.connections_cut, sockets_->end_endless(now_, [this](int descriptor, milliseconds since) {
        return gate_.has_heard(descriptor, since);
    }));
}

// Not the time that a round takes: what peers send may keep this thread busy for seconds.
void IoRound::mark_running() {
    const milliseconds now = util::boot_time();
    longest_gap_ = std::max(longest_gap_, now - running_at_);
    running_at_ = now;
}

bool IoRound::read_subscriptions(int budget) {
    for (; budget > 0; --budget) {
        const auto change = sockets_->next_change(now_);
        if (!change) return false;
        // What is no subscription is judged as a frame of its peer.
        const bool foreign = change->kind == transport::SubscriptionChange::Kind::foreign;
        if (!foreign || gate_.admit(change->descriptor, change->topic.size(), now_)) {
            sessions_.on_subscription(*change, now_);
        }
        count(counters_.connections_cut, sockets_->guard.take_cut());
    }
    return true;
}

// False when nothing waits of those who keep within their limits: peers are read in turn, so after several
// rounds of frames of floods only there is nobody else.
bool IoRound::read_results(int budget) {
    using Received = transport::ResultsSubscriber::Received;
    std::size_t flooded_in_a_row = 0;
    for (int floods = kFloodBudget; budget > 0 && floods > 0;) {
        std::string_view frame;
        const Received received = sockets_->results.receive(frame);
        if (received == Received::nothing) return false;
        const bool holds_results = !frame.starts_with(protocol::kWorkersSubscription);
        if (!gate_.admit(sockets_->results.descriptor(), frame.size(), now_, holds_results)) {
            count(counters_.frames_flooded);
            --floods;
            if (++flooded_in_a_row > 16 + 2 * gate_.flooding()) return false;
            continue;
        }
        flooded_in_a_row = 0;
        --budget;
        received == Received::frame ? take_frame(frame) : receiver_.on_multipart(frame);
        if (frame.size() < kLargeFrame && budget % kClockEvery != 0) continue;
        mark_running();
        if (running_at_ - now_ >= kReadAtMost) return true;
    }
    return true;
}

// One message must not end the process for all: what it did so far stands, and it is set aside.
void IoRound::take_frame(std::string_view frame) {
    try {
        receiver_.on_frame(frame, now_);
    } catch (const transport::ContextTerminated&) {
        throw;
    } catch (const transport::SocketError&) {
        throw;
    } catch (const std::exception& error) {
        log::error("a message could not be worked off and is set aside in tasker_rejected_messages",
                   {{"cause", error.what()}, {"bytes", frame.size()}});
        post_.malformed(frame.substr(0, frame.find(' ')), frame, "internal", error.what());
    }
}

bool IoRound::read_commands(int budget) {
    for (; budget > 0; --budget) {
        auto request = sockets_->next_request(now_);
        if (!request) return false;
        count(counters_.commands);
        const std::string reply =
            request->well_formed ? answer_command(request->body, health_) : answer_malformed_command();
        if (!sockets_->commands.reply(*request, reply)) log::debug("a client left before its reply");
    }
    return true;
}

void IoRound::finish_round() {
    // Sends and calls took time, but timers count from the begin of the round: what arrived since is unread.
    // Batches before heartbeats: with both due at once again and again, a short queue would take the
    // heartbeat each time and never the batch.
    dispatch_.check_acceptance(heard_until_);
    sessions_.tick(now_, heard_until_);
    sessions_.report_changes();
    post_.flush();
}

// ---------------------------------------------------------------- the listener's messages

void IoRound::handle(ports::PublishBatches message) {
    for (auto& batch : message.batches) dispatch_.publish(std::move(batch), now_);
    util::crash_point("after_publish");
}

void IoRound::handle(ports::AdoptBatches message) {
    for (auto& batch : message.batches) dispatch_.adopt(std::move(batch), now_);
    inventory_.trust(message.lane);
}

void IoRound::handle(ports::Acknowledge message) {
    for (auto& list : message.lists) {
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

void IoRound::handle(ports::RequestReports message) {
    protocol::ReportRequest request;
    request.session = std::move(message.session);
    request.batch_id = std::move(message.batch_uuid);
    request.step_ids = std::move(message.step_ids);
    sender_.control(request.session, request);
}

void IoRound::handle(ports::CancelSteps message) {
    protocol::Cancel cancel;
    cancel.session = std::move(message.session);
    cancel.reason = std::move(message.reason);
    for (const auto& step : message.steps)
        cancel.steps.push_back({message.batch_uuid, step.step_id, step.attempt});
    if (message.ended) {
        registry_.with([&](auto& registry) {
            for (const auto& step : message.steps) registry.give_back(message.batch_uuid, step.step_id, true);
        });
    }
    sender_.control(cancel.session, cancel);
}

void IoRound::handle(const ports::StartAnswer& answer) {
    if (answer.refusal.empty()) {
        protocol::StartGranted granted;
        granted.session = answer.session;
        granted.batch_id = answer.batch_uuid;
        granted.step_id = answer.step_id;
        granted.attempt = answer.attempt;
        granted.n = answer.n;
        granted.start_window_ms = options_.timers.start_window.count();
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

void IoRound::handle(const ports::SuspectSession& message) {
    registry_.with([&](auto& registry) { registry.on_batch_ignored(message.session, now_); });
}

void IoRound::handle(ports::DrainSession message) {
    registry_.with([&](auto& registry) { registry.on_drain(message.session, now_); });
    protocol::Drain drain;
    drain.session = std::move(message.session);
    drain.deadline_ms = message.deadline_ms;
    sender_.control(drain.session, drain);
}

void IoRound::handle(const ports::RecordFault& message) {
    sessions_.record_fault(message.session, message.fault, "");
}

void IoRound::handle(const ports::ForgetBatches& message) {
    for (const std::string& batch_uuid : message.batch_uuids) dispatch_.forget(batch_uuid);
}

void IoRound::handle(const ports::ReopenSteps& message) {
    registry_.with([&](auto& registry) {
        for (const std::int64_t step_id : message.step_ids) registry.reopen(message.batch_uuid, step_id);
    });
}

void IoRound::handle(ports::RefuseSessions) {
    sessions_.refuse_new_sessions();
}

}  // namespace tasker::engine
