// One session of a worker that runs nothing, to measure the orchestrator's overhead alone. It speaks the
// whole protocol a real one does (handshake, acceptance, partial results, completion, outbox with resend,
// heartbeats, goodbye), but "runs" each step by answering with a fixed result of about 200 bytes.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>
#include <zmq.hpp>

#include "protocol/cpp/decode.hpp"
#include "protocol/cpp/messages.hpp"
#include "tests/bench/native/latency_histogram.hpp"

namespace tasker::bench {

using Clock = std::chrono::steady_clock;

struct SessionOptions {
    std::string steps_endpoint;
    std::string results_endpoint;
    int capacity = 200;
    std::string handler_class = "*";
    std::string namespace_name = "*";
};

/// Owns its two sockets; one thread calls everything. The caller waits for `fd()` and for `next_beat()`.
class NoopSession {
  public:
    NoopSession(zmq::context_t& context, const SessionOptions& options, int number,
                LatencyHistogram& next_step);

    /// Readable when `receive_all` may have something to do (ZMQ_FD of the steps socket).
    int fd() const { return steps_.get(zmq::sockopt::fd); }
    /// Takes everything that waits, so that the descriptor is quiet afterwards.
    void receive_all();
    /// Hello until welcomed, then heartbeats and what was not acknowledged; once a second.
    void beat(Clock::time_point now);
    Clock::time_point next_beat() const { return next_beat_; }
    void say_goodbye();

  private:
    struct Posted {
        std::string frame;
        protocol::StepRef step;
        Clock::time_point sent_at;
    };

    void send(std::string_view topic, const std::string& json);
    void say_hello();
    std::vector<protocol::StepRef> unacked() const;
    void receive(std::string_view frame);
    bool is_current(const protocol::Envelope& envelope);
    void handle(const protocol::Probe& probe);
    void handle(const protocol::Welcome& welcome);
    void handle(const protocol::Heartbeat& heartbeat);
    void handle(const protocol::Ack& ack);
    void handle(const protocol::Refused& refused);
    void handle(const protocol::StepBatchRequest& batch);
    // Nothing here starts late or needs permission: the remaining messages ask for nothing.
    template <typename Other>
    void handle(const Other& /*message*/) {}
    void post(const std::string& batch_id, std::int64_t sequence, protocol::StepRef step,
              const std::string& json);
    void note_received(std::int64_t task_id, Clock::time_point now);

    const SessionOptions options_;
    const std::string session_;
    LatencyHistogram& next_step_;
    zmq::socket_t steps_;
    zmq::socket_t results_;
    protocol::Decoder decoder_;
    Clock::time_point next_beat_;
    std::chrono::milliseconds hello_pause_{10};
    std::int64_t epoch_ = 0;
    std::int64_t seen_n_ = 0;
    bool welcome_ = false;
    std::unordered_set<std::string> seen_;
    std::map<std::pair<std::string, std::int64_t>, Posted> outbox_;
    std::unordered_map<std::int64_t, Clock::time_point> reported_at_;  // by task: its last result sent here
};

}  // namespace tasker::bench
