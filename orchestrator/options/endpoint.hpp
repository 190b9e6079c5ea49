// The text forms of ZeroMQ and HTTP addresses: checking them, and telling which of them leave this machine.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tasker::options {

enum class EndpointUse { bind, connect };

/// Why `endpoint` (tcp://host:port, ipc://path, inproc://name) cannot be used so, as one sentence; nothing
/// when it can. A bind may use `*` as host (all interfaces) and as port or path (any free one), port 0
/// included.
std::optional<std::string> endpoint_fault(std::string_view endpoint, EndpointUse use);

/// Why `address` is no host:port (or `off`) to serve HTTP on; nothing when it is.
std::optional<std::string> http_address_fault(std::string_view address);

/// True when only processes of this machine can reach the endpoint (ipc, inproc, loopback addresses, "off").
bool is_local(std::string_view endpoint_or_address);

/// What a client connects to when this is bound: `*`, 0.0.0.0 and [::] become loopback.
std::string connect_form(std::string_view bound);

}  // namespace tasker::options
