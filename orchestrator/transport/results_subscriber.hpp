// The `results` socket: SUB for the topics `results ` and `workers `, to which every worker's PUB connects.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "orchestrator/transport/bound_socket.hpp"
#include "orchestrator/transport/socket_call.hpp"

namespace tasker::transport {

/// Receives whole frames without waiting. Belongs to one thread.
class ResultsSubscriber {
  public:
    /// Binds. `frame_bytes_max`: a longer frame ends its sender's connection. Throws BindError.
    ResultsSubscriber(zmq::context_t& context, const std::string& endpoint, std::int64_t frame_bytes_max);

    /// Begins to hear: until then peers send nothing here, so a standby collects nothing.
    void open();

    enum class Received { nothing, frame, multipart };
    /// The next message's first frame, whose bytes stay valid until the next call. `multipart`: the message
    /// had more frames, which no message of the protocol has; they were dropped.
    Received receive(std::string_view& frame);

    /// The descriptor of the connection that the last frame came on; -1 when unknown.
    int descriptor() const { return descriptor_; }

    const std::string& endpoint() const { return bound_.endpoint(); }
    zmq::pollitem_t poll_item() { return {bound_.socket().handle(), 0, ZMQ_POLLIN, 0}; }

  private:
    BoundSocket bound_;
    zmq::message_t frame_;
    int descriptor_ = -1;
};

}  // namespace tasker::transport
