// The `command` socket: ROUTER, to which clients connect with REQ, or with DEALER (with or without the empty
// frame that REQ puts first).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "orchestrator/transport/bound_socket.hpp"
#include "orchestrator/transport/socket_call.hpp"

namespace tasker::transport {

/// A request and the way back. `well_formed` is false when it was not exactly one body frame.
struct CommandRequest {
    zmq::message_t client;
    int descriptor = -1;  // of the connection it came on
    bool delimited = false;
    bool well_formed = false;
    std::string body;
};

/// Receives and answers without waiting. Belongs to one thread.
class CommandRouter {
  public:
    /// `request_bytes_max`: a longer frame ends its sender's connection. Throws BindError.
    CommandRouter(zmq::context_t& context, const std::string& endpoint, std::int64_t request_bytes_max);

    std::optional<CommandRequest> receive();
    /// False when the client has gone or does not read its replies.
    bool reply(CommandRequest& request, std::string_view body);

    const std::string& endpoint() const { return bound_.endpoint(); }
    zmq::pollitem_t poll_item() { return {bound_.socket().handle(), 0, ZMQ_POLLIN, 0}; }

  private:
    BoundSocket bound_;
};

}  // namespace tasker::transport
