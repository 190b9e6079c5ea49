// The blocking and failing sides of ZeroMQ calls in one place: EINTR is repeated, EAGAIN is a value, ETERM is
// its own exception, everything else is an infrastructure failure with the name of the call.
#pragma once

#include <chrono>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <zmq.hpp>

namespace tasker::transport {

/// The ZeroMQ context is being terminated: the thread closes its sockets and ends.
class ContextTerminated : public std::runtime_error {
  public:
    ContextTerminated() : std::runtime_error("the ZeroMQ context was terminated") {}
};

/// A socket call failed in a way that no caller can mend.
class SocketError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Receives one frame without waiting; false when there is none. Throws ContextTerminated, SocketError.
bool receive_now(zmq::socket_t& socket, zmq::message_t& frame);

enum class SendResult { sent, full, unreachable };

/// Sends one frame without waiting. `full`: a matching peer's queue is full, nothing was sent to anybody;
/// `unreachable`: a ROUTER's peer has gone. Throws ContextTerminated, SocketError.
SendResult send_now(zmq::socket_t& socket, zmq::message_t& frame, bool more_follows = false);

/// Reads and drops the rest of a multipart message whose last frame read was `frame`; returns how many.
int discard_rest(zmq::socket_t& socket, const zmq::message_t& frame);

/// Waits for any item or the timeout (negative: no limit). Returns early on a signal, with no item marked.
void wait_for(std::span<zmq::pollitem_t> items, std::chrono::milliseconds timeout);

}  // namespace tasker::transport
