// What comes in on the results socket: split, decoded, judged as far as sessions and credit are concerned,
// and handed to the listener. Nothing that arrives is dropped in silence: it is a report, a session's
// message, or malformed.
#pragma once

#include <string_view>

#include "orchestrator/engine/io/dispatch.hpp"
#include "orchestrator/engine/io/flood_gate.hpp"
#include "orchestrator/engine/io/options.hpp"
#include "orchestrator/engine/io/post.hpp"
#include "orchestrator/engine/io/registry.hpp"
#include "orchestrator/engine/io/sessions.hpp"
#include "protocol/cpp/decode.hpp"
#include "protocol/cpp/frame.hpp"

namespace tasker::engine {

/// Belongs to the io thread.
class IoReceiver {
  public:
    IoReceiver(const IoOptions& options, SharedRegistry& registry, IoSessions& sessions, IoDispatch& dispatch,
               IoPost& post, FloodGate& gate, IoCounters& counters);

    void on_frame(std::string_view frame, milliseconds now);
    void on_multipart(std::string_view first_frame);

  private:
    void on_undecodable(const protocol::Frame& frame, const protocol::DecodeError& error);
    std::int64_t bytes_max(bool with_results) const;
    bool is_too_large(const protocol::WorkerMessage& message, const protocol::Frame& frame) const;
    /// A message without a result, above its limit: recorded and dropped.
    void refuse_too_large(const protocol::WorkerMessage& message, const protocol::Frame& frame);

    // One for each message type; `frame` is the text it came in.
    void handle(const protocol::Hello& message, const protocol::Frame& frame, milliseconds now);
    void handle(const protocol::Ready& message, const protocol::Frame& frame, milliseconds now);
    void handle(const protocol::WorkerHeartbeat& message, const protocol::Frame& frame, milliseconds now);
    void handle(const protocol::BatchAccepted& message, const protocol::Frame& frame, milliseconds now);
    void handle(protocol::BatchRejected& message, const protocol::Frame& frame, milliseconds now);
    void handle(const protocol::StartRequest& message, const protocol::Frame& frame, milliseconds now);
    void handle(const protocol::Goodbye& message, const protocol::Frame& frame, milliseconds now);
    void handle(protocol::PartialResult& message, const protocol::Frame& frame, milliseconds now);
    void handle(protocol::BatchCompletion& message, const protocol::Frame& frame, milliseconds now);
    void handle(protocol::StepBatchResponse& message, const protocol::Frame& frame, milliseconds now);

    /// A report as far as sessions and credit are concerned; then it goes to the listener. `move_credit` is
    /// called under the registry's mutex, and only when the batch is of the report's session.
    template <typename Message, typename MoveCredit>
    void take_report(Message& message, const protocol::Frame& frame, milliseconds now,
                     MoveCredit move_credit);
    static void take_refusal(core::SessionRegistry& registry, const protocol::BatchRejected& message,
                             protocol::RejectReason reason, milliseconds now);

    const IoOptions& options_;
    SharedRegistry& registry_;
    IoSessions& sessions_;
    IoDispatch& dispatch_;
    IoPost& post_;
    FloodGate& gate_;
    IoCounters& counters_;
    protocol::Decoder decoder_;
    bool too_large_ = false;  // the report that is being taken
};

}  // namespace tasker::engine
