// A native worker that does nothing, to measure the orchestrator's overhead alone. It speaks the whole
// protocol a real one does (handshake, acceptance, partial results, completion, outbox with resend,
// heartbeats, goodbye), but "runs" each step by answering with a fixed result of about 200 bytes.
//
// Usage: tasker-bench-worker STEPS_ENDPOINT RESULTS_ENDPOINT [CAPACITY [HANDLER_CLASS [NAMESPACE]]]; ends on
// SIGTERM.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <map>
#include <random>
#include <string>
#include <unordered_set>
#include <utility>
#include <zmq.hpp>

#include "protocol/cpp/decode.hpp"
#include "protocol/cpp/encode.hpp"
#include "protocol/cpp/frame.hpp"

namespace {

using namespace tasker::protocol;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

volatile std::sig_atomic_t stop_requested = 0;

std::string new_session() {
    std::random_device device;
    char text[17];
    std::snprintf(text, sizeof text, "%08x%08x", device(), device());
    return text;
}

const std::string kOutput = R"({"ok":true,"filler":")" + std::string(170, 'x') + R"("})";

class NoopWorker {
  public:
    NoopWorker(const std::string& steps, const std::string& results, int capacity, std::string handler,
               std::string name_space)
        : session_(new_session()),
          steps_(context_, zmq::socket_type::sub),
          results_(context_, zmq::socket_type::pub),
          capacity_(capacity),
          handler_(std::move(handler)),
          namespace_(std::move(name_space)) {
        steps_.set(zmq::sockopt::rcvhwm, 0);
        results_.set(zmq::sockopt::sndhwm, 0);
        steps_.set(zmq::sockopt::reconnect_ivl_max, 2000);
        results_.set(zmq::sockopt::reconnect_ivl_max, 2000);
        results_.set(zmq::sockopt::linger, 500);
        steps_.set(zmq::sockopt::linger, 0);
        steps_.set(zmq::sockopt::subscribe, steps_subscription(session_));
        steps_.set(zmq::sockopt::subscribe, control_subscription(session_));
        steps_.connect(steps);
        results_.connect(results);
    }

    void run() {
        auto next_beat = Clock::now();
        while (stop_requested == 0) {
            if (Clock::now() >= next_beat) {
                beat();
                next_beat = Clock::now() + milliseconds(1000);
            }
            zmq::pollitem_t item{steps_.handle(), 0, ZMQ_POLLIN, 0};
            const auto wait = std::chrono::duration_cast<milliseconds>(next_beat - Clock::now());
            if (zmq_poll(&item, 1, std::max<long>(0, static_cast<long>(wait.count()) + 1)) <= 0) continue;
            zmq::message_t message;
            while (steps_.recv(message, zmq::recv_flags::dontwait)) receive(message.to_string_view());
        }
        send(kWorkersTopic, to_json(Goodbye{session_, "stopped"}));
    }

  private:
    void send(std::string_view topic, const std::string& json) {
        results_.send(zmq::buffer(make_frame(topic, json)), zmq::send_flags::none);
    }

    void say_hello() {
        Hello hello;
        hello.worker_id = "bench-" + std::to_string(::getpid());
        hello.session = session_;
        hello.language = "cpp";
        hello.sdk_version = "bench";
        hello.namespaces = {namespace_};
        hello.handlers = {handler_};
        hello.capacity = capacity_;
        hello.host = "localhost";
        hello.pid = ::getpid();
        hello.unacked = unacked();
        send(kWorkersTopic, to_json(hello));
    }

    std::vector<StepRef> unacked() const {
        std::vector<StepRef> refs;
        for (const auto& [key, entry] : outbox_) {
            if (entry.step.step_id != 0) refs.push_back(entry.step);
        }
        return refs;
    }

    void beat() {
        if (!welcome_) {
            say_hello();
            return;
        }
        WorkerHeartbeat heartbeat;
        heartbeat.session = session_;
        heartbeat.seen_n = seen_n_;
        heartbeat.unacked = unacked();
        heartbeat.free = capacity_;
        send(kWorkersTopic, to_json(heartbeat));
        for (auto& [key, entry] : outbox_) {
            if (Clock::now() - entry.sent_at < milliseconds(1000)) continue;
            results_.send(zmq::buffer(entry.frame), zmq::send_flags::none);
            entry.sent_at = Clock::now();
        }
    }

    void receive(std::string_view frame) {
        const auto split = split_frame(frame);
        if (!split) return;
        const auto message = decoder_.decode_orchestrator_message(split->body);
        if (!message) {
            std::fprintf(stderr, "bad message: %s\n", message.error().message.c_str());
            return;
        }
        std::visit([this](const auto& body) { handle(body); }, *message);
    }

    bool is_current(const Envelope& envelope) {
        if (envelope.epoch < epoch_) return false;
        if (envelope.epoch > epoch_) {
            epoch_ = envelope.epoch;
            welcome_ = false;
            say_hello();
        }
        return true;
    }

    void handle(const Probe& probe) {
        if (!is_current(probe.envelope)) return;
        Ready ready;
        ready.session = session_;
        ready.nonce = probe.nonce;
        ready.unacked = unacked();
        send(kWorkersTopic, to_json(ready));
    }
    void handle(const Welcome& welcome) {
        if (is_current(welcome.envelope)) welcome_ = true;
    }
    void handle(const Heartbeat& heartbeat) {
        if (is_current(heartbeat.envelope)) seen_n_ = heartbeat.n;
    }
    void handle(const Ack& ack) {
        for (const auto& batch : ack.batches) {
            for (const auto sequence : batch.sequences) outbox_.erase({batch.batch_id, sequence});
        }
        for (const auto& refused : ack.rejected) {
            std::fprintf(stderr, "refused: %s\n", refused.code.c_str());
            outbox_.erase({refused.batch_id, refused.sequence});
        }
    }
    void handle(const Refused& refused) { std::fprintf(stderr, "refused: %s\n", refused.message.c_str()); }

    void post(const std::string& batch_id, std::int64_t sequence, StepRef step, const std::string& json) {
        auto frame = make_frame(kResultsTopic, json);
        results_.send(zmq::buffer(frame), zmq::send_flags::none);
        outbox_[{batch_id, sequence}] = {std::move(frame), std::move(step), Clock::now()};
    }

    void handle(const StepBatchRequest& batch) {
        if (!is_current(batch.envelope)) return;
        send(kWorkersTopic, to_json(BatchAccepted{session_, batch.batch_id}));
        if (!seen_.insert(batch.batch_id).second) return;
        std::int64_t sequence = 0;
        BatchCompletion completion;
        for (const auto& step : batch.steps) {
            PartialResult partial;
            partial.batch_id = batch.batch_id;
            partial.step_id = step.step_id;
            partial.attempt = step.metadata.attempt;
            partial.status = ReportStatus::kCompleted;
            partial.output_json = kOutput;
            partial.worker_id = "bench";
            partial.session = session_;
            partial.sequence = ++sequence;
            partial.timestamp = step.metadata.created_at;
            post(batch.batch_id, sequence, {batch.batch_id, step.step_id, step.metadata.attempt},
                 to_json(partial));
            completion.step_summaries.push_back(
                {step.step_id, step.metadata.attempt, ReportStatus::kCompleted, 0, std::nullopt});
        }
        const auto count = static_cast<std::int64_t>(batch.steps.size());
        completion.batch_id = batch.batch_id;
        completion.total_steps = count;
        completion.completed_steps = count;
        completion.completed_at = batch.steps.front().metadata.created_at;
        completion.worker_id = "bench";
        completion.session = session_;
        completion.sequence = ++sequence;
        post(batch.batch_id, sequence, {}, to_json(completion));
    }

    // Nothing here starts late or needs permission: the remaining messages ask for nothing.
    template <typename Other>
    void handle(const Other& /*message*/) {}

    struct Posted {
        std::string frame;
        StepRef step;
        Clock::time_point sent_at;
    };

    const std::string session_;
    zmq::context_t context_;
    zmq::socket_t steps_;
    zmq::socket_t results_;
    const int capacity_;
    const std::string handler_;
    const std::string namespace_;
    Decoder decoder_;
    std::int64_t epoch_ = 0;
    std::int64_t seen_n_ = 0;
    bool welcome_ = false;
    std::unordered_set<std::string> seen_;
    std::map<std::pair<std::string, std::int64_t>, Posted> outbox_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(
            stderr, "usage: tasker-bench-worker STEPS_ENDPOINT RESULTS_ENDPOINT [CAPACITY [HANDLER [NS]]]\n");
        return 2;
    }
    struct sigaction action {};
    action.sa_handler = [](int) { stop_requested = 1; };
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);
    const int capacity = argc > 3 ? std::atoi(argv[3]) : 200;
    NoopWorker worker(argv[1], argv[2], capacity, argc > 4 ? argv[4] : "*", argc > 5 ? argv[5] : "*");
    worker.run();
    return 0;
}
