// Endpoints as people write them, and as libzmq wants them.
#pragma once

#include <string>
#include <string_view>

namespace tasker::transport {

/// libzmq binds numbers and names of interfaces only: `tcp://localhost:PORT` becomes the loopback address
/// of this machine, that of IPv4 where there is one. Everything else stays as it is.
std::string bindable(const std::string& endpoint);

/// True for `tcp://[ADDRESS]:PORT`. The option ZMQ_IPV6 is for these alone: with it, libzmq would look
/// every other name up in IPv6 first.
bool is_ipv6(std::string_view endpoint);

}  // namespace tasker::transport
