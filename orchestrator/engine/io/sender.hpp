// Everything that goes out on the steps socket: encodes, addresses, sends without waiting.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "orchestrator/engine/io/options.hpp"
#include "orchestrator/engine/io/sockets.hpp"
#include "protocol/cpp/encode.hpp"
#include "protocol/cpp/frame.hpp"

namespace tasker::engine {

/// Belongs to the io thread. Every send may find its peer's queue full (false, counted): whoever sends has a
/// timer, or the peer asks again.
class IoSender {
  public:
    IoSender(IoSockets& sockets, const IoOptions& options, IoCounters& counters)
        : sockets_(sockets),
          envelope_{options.orchestrator_id, options.epoch},
          installation_(options.installation),
          counters_(counters) {}

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
        message.installation = installation();
        return protocol::to_json(message);
    }
    bool control_text(std::string_view session, std::string_view json) {
        return send(protocol::kControlSessionPrefix, session, json);
    }
    /// A step_batch_request as it is; session "" is the plain worker.
    bool steps(std::string_view session, std::string_view json) {
        if (session.empty()) return send(protocol::kStepsTopic, "", json);
        return send(protocol::kStepsSessionPrefix, session, json);
    }

    /// For the messages that carry it; absent where it is not known.
    std::optional<std::string> installation() const {
        return installation_.empty() ? std::nullopt : std::optional(installation_);
    }

  private:
    bool send(std::string_view prefix, std::string_view session, std::string_view json) {
        topic_.assign(prefix);
        topic_.append(session);
        if (sockets_.steps.send(topic_, json)) return true;
        count(counters_.sends_blocked);
        sockets_.guard.on_blocked(topic_);
        return false;
    }

    IoSockets& sockets_;
    const protocol::Envelope envelope_;
    const std::string installation_;
    IoCounters& counters_;
    std::string topic_;  // kept for their memory
    std::string text_;
};

}  // namespace tasker::engine
