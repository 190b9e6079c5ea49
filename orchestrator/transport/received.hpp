// How many bytes the kernel has taken in for the connections of an endpoint.
//
// libzmq hands over a message only when its last part has come, and sets no bound to how many parts that may be.
// Until then nothing of it can be seen through libzmq, but the kernel counts the bytes of a TCP connection. (Of a
// unix socket it does not.)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "orchestrator/transport/peer.hpp"

namespace tasker::transport {

struct Received {
    Peer peer;
    std::uint64_t bytes = 0;  // since it was made
};

/// The tcp connections that this process has accepted at `endpoint`; none of another transport. Looks at all
/// descriptors of the process: a microsecond for each.
std::vector<Received> received_at(const std::string& endpoint);

/// Bytes of memory that this process occupies; 0 when that cannot be told.
std::uint64_t resident_bytes();

}  // namespace tasker::transport
