#include "tests/bench/native/noop_session.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <random>

#include "protocol/cpp/encode.hpp"
#include "protocol/cpp/frame.hpp"
#include "tests/bench/native/noop_result.hpp"

namespace tasker::bench {

using namespace tasker::protocol;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kBeat{1000};
// Tasks whose next step goes to another worker stay in the table: it is emptied before it grows without end.
constexpr std::size_t kTasksRemembered = 200'000;

std::string new_session() {
    std::random_device device;
    char text[17];
    std::snprintf(text, sizeof text, "%08x%08x", device(), device());
    return text;
}

}  // namespace

NoopSession::NoopSession(zmq::context_t& context, const SessionOptions& options, int number,
                         LatencyHistogram& next_step)
    : options_(options),
      session_(new_session()),
      next_step_(next_step),
      steps_(context, zmq::socket_type::sub),
      results_(context, zmq::socket_type::pub),
      // A thousand sessions in one process do not all beat at once.
      next_beat_(Clock::now() + milliseconds(number % kBeat.count())) {
    steps_.set(zmq::sockopt::rcvhwm, 0);
    results_.set(zmq::sockopt::sndhwm, 0);
    for (auto* socket : {&steps_, &results_}) socket->set(zmq::sockopt::reconnect_ivl_max, 2000);
    results_.set(zmq::sockopt::linger, 500);
    steps_.set(zmq::sockopt::linger, 0);
    steps_.set(zmq::sockopt::subscribe, steps_subscription(session_));
    steps_.set(zmq::sockopt::subscribe, control_subscription(session_));
    steps_.connect(options_.steps_endpoint);
    results_.connect(options_.results_endpoint);
}

void NoopSession::receive_all() {
    zmq::message_t message;
    while (steps_.recv(message, zmq::recv_flags::dontwait)) receive(message.to_string_view());
}

void NoopSession::send(std::string_view topic, const std::string& json) {
    results_.send(zmq::buffer(make_frame(topic, json)), zmq::send_flags::none);
}

void NoopSession::say_hello() {
    Hello hello;
    hello.worker_id = "bench-" + std::to_string(::getpid()) + "-" + session_.substr(0, 4);
    hello.session = session_;
    hello.language = "cpp";
    hello.sdk_version = "bench";
    hello.namespaces = {options_.namespace_name};
    hello.handlers = {options_.handler_class};
    hello.capacity = options_.capacity;
    hello.host = "localhost";
    hello.pid = ::getpid();
    hello.unacked = unacked();
    send(kWorkersTopic, to_json(hello));
}

void NoopSession::say_goodbye() {
    send(kWorkersTopic, to_json(Goodbye{session_, "stopped"}));
}

std::vector<StepRef> NoopSession::unacked() const {
    std::vector<StepRef> refs;
    for (const auto& [key, entry] : outbox_) {
        if (entry.step.step_id != 0) refs.push_back(entry.step);
    }
    return refs;
}

void NoopSession::beat(Clock::time_point now) {
    if (!welcome_) {
        // The first ones go out before the connection stands and are lost: a run need not wait a second for
        // it.
        hello_pause_ = std::min(hello_pause_ * 2, kBeat);
        next_beat_ = now + hello_pause_;
        say_hello();
        return;
    }
    next_beat_ = now + kBeat;
    WorkerHeartbeat heartbeat;
    heartbeat.session = session_;
    heartbeat.seen_n = seen_n_;
    heartbeat.unacked = unacked();
    heartbeat.free = options_.capacity;
    send(kWorkersTopic, to_json(heartbeat));
    for (auto& [key, entry] : outbox_) {
        if (now - entry.sent_at < kBeat) continue;
        results_.send(zmq::buffer(entry.frame), zmq::send_flags::none);
        entry.sent_at = now;
    }
}

void NoopSession::receive(std::string_view frame) {
    const auto split = split_frame(frame);
    if (!split) return;
    const auto message = decoder_.decode_orchestrator_message(split->body);
    if (!message) {
        std::fprintf(stderr, "bad message: %s\n", message.error().message.c_str());
        return;
    }
    std::visit([this](const auto& body) { handle(body); }, *message);
}

bool NoopSession::is_current(const Envelope& envelope) {
    if (envelope.epoch < epoch_) return false;
    if (envelope.epoch > epoch_) {
        epoch_ = envelope.epoch;
        welcome_ = false;
        say_hello();
    }
    return true;
}

void NoopSession::handle(const Probe& probe) {
    if (!is_current(probe.envelope)) return;
    Ready ready;
    ready.session = session_;
    ready.nonce = probe.nonce;
    ready.unacked = unacked();
    send(kWorkersTopic, to_json(ready));
}

void NoopSession::handle(const Welcome& welcome) {
    if (is_current(welcome.envelope)) welcome_ = true;
}

void NoopSession::handle(const Heartbeat& heartbeat) {
    if (is_current(heartbeat.envelope)) seen_n_ = heartbeat.n;
}

void NoopSession::handle(const Ack& ack) {
    for (const auto& batch : ack.batches) {
        for (const auto sequence : batch.sequences) outbox_.erase({batch.batch_id, sequence});
    }
    for (const auto& refused : ack.rejected) {
        std::fprintf(stderr, "refused: %s\n", refused.code.c_str());
        outbox_.erase({refused.batch_id, refused.sequence});
    }
}

void NoopSession::handle(const Refused& refused) {
    std::fprintf(stderr, "refused: %s\n", refused.message.c_str());
}

void NoopSession::post(const std::string& batch_id, std::int64_t sequence, StepRef step,
                       const std::string& json) {
    auto frame = make_frame(kResultsTopic, json);
    results_.send(zmq::buffer(frame), zmq::send_flags::none);
    outbox_[{batch_id, sequence}] = {std::move(frame), std::move(step), Clock::now()};
}

void NoopSession::note_received(std::int64_t task_id, Clock::time_point now) {
    const auto reported = reported_at_.find(task_id);
    if (reported == reported_at_.end()) return;
    next_step_.add(now - reported->second);
    reported_at_.erase(reported);
}

void NoopSession::handle(const StepBatchRequest& batch) {
    if (!is_current(batch.envelope)) return;
    send(kWorkersTopic, to_json(BatchAccepted{session_, batch.batch_id}));
    if (!seen_.insert(batch.batch_id).second) return;
    const auto received = Clock::now();
    for (const auto& step : batch.steps) note_received(step.task_id, received);
    if (reported_at_.size() > kTasksRemembered) reported_at_.clear();
    std::int64_t sequence = 0;
    for (const auto& step : batch.steps) {
        const auto partial = noop_result(batch.batch_id, session_, step.step_id, step.metadata.attempt,
                                         ++sequence, step.metadata.created_at);
        reported_at_[step.task_id] = Clock::now();
        post(batch.batch_id, sequence, {batch.batch_id, step.step_id, step.metadata.attempt},
             to_json(partial));
    }
    BatchCompletion completion =
        noop_completion(batch.batch_id, session_, batch.steps.front().metadata.created_at);
    for (const auto& step : batch.steps) {
        completion.step_summaries.push_back(
            {step.step_id, step.metadata.attempt, ReportStatus::completed, 0, std::nullopt});
    }
    completion.total_steps = completion.completed_steps = static_cast<std::int64_t>(batch.steps.size());
    completion.sequence = ++sequence;
    post(batch.batch_id, sequence, {}, to_json(completion));
}

}  // namespace tasker::bench
