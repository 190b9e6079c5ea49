// Everything that goes out on the steps socket: encodes, addresses, sends without waiting.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "orchestrator/engine/io_options.hpp"
#include "orchestrator/transport/steps_publisher.hpp"
#include "protocol/cpp/encode.hpp"
#include "protocol/cpp/frame.hpp"

namespace tasker::engine {

/// Belongs to the io thread. Every send may find its peer's queue full (false, counted): whoever sends has a
/// timer, or the peer asks again.
class IoSender {
  public:
    IoSender(transport::StepsPublisher& steps, protocol::Envelope envelope, IoCounters& counters)
        : steps_(steps), envelope_(std::move(envelope)), counters_(counters) {}

    /// Fills in the envelope and sends on `control.<session> `.
    template <typename Message>
    bool control(std::string_view session, Message& message) {
        message.envelope = envelope_;
        text_.clear();
        protocol::encode(text_, message);
        return send(protocol::kControlSessionPrefix, session, text_);
    }
    bool probe(std::string_view session, std::string_view nonce) {
        protocol::Probe message;
        message.envelope = envelope_;
        message.nonce = nonce;
        text_.clear();
        protocol::encode(text_, message);
        return send(protocol::kStepsSessionPrefix, session, text_);
    }
    /// A heartbeat's text, to be sent to many with `control_text`.
    std::string heartbeat_text(std::int64_t n) const {
        protocol::Heartbeat message;
        message.envelope = envelope_;
        message.n = n;
        return protocol::to_json(message);
    }
    bool control_text(std::string_view session, std::string_view json) {
        return send(protocol::kControlSessionPrefix, session, json);
    }
    /// A step_batch_request as it is; session "" is the plain worker.
    bool steps(std::string_view session, std::string_view json) {
        if (session.empty()) return counted(steps_.send(protocol::kStepsTopic, json));
        return send(protocol::kStepsSessionPrefix, session, json);
    }

  private:
    bool send(std::string_view prefix, std::string_view session, std::string_view json) {
        topic_.assign(prefix);
        topic_.append(session);
        return counted(steps_.send(topic_, json));
    }
    bool counted(bool sent) {
        if (!sent) count(counters_.sends_blocked);
        return sent;
    }

    transport::StepsPublisher& steps_;
    const protocol::Envelope envelope_;
    IoCounters& counters_;
    std::string topic_;  // kept for their memory
    std::string text_;
};

}  // namespace tasker::engine
