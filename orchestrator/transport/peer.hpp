// The connection a message came on. libzmq gives its file descriptor; a number that may be in use for
// something else a moment later, so a peer is that number together with the identity of its socket.
#pragma once

#include <cstdint>
#include <string>
#include <zmq.hpp>

namespace tasker::transport {

/// One connection. `fd` is -1 where there is none (inproc).
struct Peer {
    int fd = -1;
    std::uint64_t socket = 0;  // never the same for two sockets that exist at once

    bool operator==(const Peer&) const = default;
};

/// The descriptor of the connection that `frame` came on; -1 when unknown. Costs no system call.
int descriptor_of(zmq::message_t& frame);

/// The connection of that descriptor. Not known (-1) when it has ended meanwhile, or when the descriptor
/// belongs to anything but a connection that `endpoint` has taken.
Peer identify(int fd, const std::string& endpoint);

bool is_connected(const Peer& peer);

/// Who that is, for the log: an address and port, or a process id. Empty when the connection has ended.
std::string describe(const Peer& peer);

/// Ends the connection, as if the peer had closed it. False when that has happened before.
bool cut(const Peer& peer);

}  // namespace tasker::transport
