#include "orchestrator/transport/socket_call.hpp"

#include <fmt/core.h>

#include <cerrno>

namespace tasker::transport {
namespace {

[[noreturn]] void fail(std::string_view call, int code) {
    if (code == ETERM) throw ContextTerminated();
    throw SocketError(fmt::format("{} failed: {} (errno {})", call, zmq_strerror(code), code));
}

}  // namespace

bool receive_now(zmq::socket_t& socket, zmq::message_t& frame) {
    while (zmq_msg_recv(frame.handle(), socket.handle(), ZMQ_DONTWAIT) < 0) {
        const int code = zmq_errno();
        if (code == EAGAIN) return false;
        if (code != EINTR) fail("zmq_msg_recv", code);
    }
    return true;
}

SendResult send_now(zmq::socket_t& socket, zmq::message_t& frame, bool more_follows) {
    const int flags = ZMQ_DONTWAIT | (more_follows ? ZMQ_SNDMORE : 0);
    while (zmq_msg_send(frame.handle(), socket.handle(), flags) < 0) {
        const int code = zmq_errno();
        if (code == EAGAIN) return SendResult::full;
        if (code == EHOSTUNREACH) return SendResult::unreachable;
        if (code != EINTR) fail("zmq_msg_send", code);
    }
    return SendResult::sent;
}

int discard_rest(zmq::socket_t& socket, const zmq::message_t& frame) {
    int dropped = 0;
    bool more = frame.more();
    while (more) {
        zmq::message_t rest;
        // All parts of a message arrive together, so this never waits.
        if (!receive_now(socket, rest)) break;
        more = rest.more();
        ++dropped;
    }
    return dropped;
}

void wait_for(std::span<zmq::pollitem_t> items, std::chrono::milliseconds timeout) {
    const int rc = zmq_poll(items.data(), static_cast<int>(items.size()), static_cast<long>(timeout.count()));
    if (rc >= 0) return;
    const int code = zmq_errno();
    if (code != EINTR) fail("zmq_poll", code);
    for (auto& item : items) item.revents = 0;
}

}  // namespace tasker::transport
