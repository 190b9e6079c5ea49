// What comes in on the results socket: split, decoded, judged as far as sessions and credit are concerned,
// and handed to the listener. Nothing that arrives is dropped in silence: it is a report, a session's
// message, or malformed.
#pragma once

#include <string_view>

#include "orchestrator/engine/io_dispatch.hpp"
#include "orchestrator/engine/io_options.hpp"
#include "orchestrator/engine/io_post.hpp"
#include "orchestrator/engine/io_registry.hpp"
#include "orchestrator/engine/io_sessions.hpp"
#include "protocol/cpp/decode.hpp"
#include "protocol/cpp/frame.hpp"

namespace tasker::engine {

/// Belongs to the io thread.
class IoReceiver {
  public:
    IoReceiver(const IoOptions& options, SharedRegistry& registry, IoSessions& sessions, IoDispatch& dispatch,
               IoPost& post, IoCounters& counters);

    void on_frame(std::string_view frame, milliseconds now);
    void on_multipart(std::string_view first_frame);

  private:
    void on_undecodable(const protocol::Frame& frame, const protocol::DecodeError& error);

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

    template <typename Message>
    void post_report(Message& message, const protocol::Frame& frame);

    SharedRegistry& registry_;
    IoSessions& sessions_;
    IoDispatch& dispatch_;
    IoPost& post_;
    IoCounters& counters_;
    protocol::Decoder decoder_;
};

}  // namespace tasker::engine
