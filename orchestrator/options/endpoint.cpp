#include "orchestrator/options/endpoint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace tasker::options {

namespace {

constexpr std::string_view kTcp = "tcp://";
constexpr std::string_view kIpc = "ipc://";
constexpr std::string_view kInproc = "inproc://";
// sun_path holds 108 bytes with its end mark. libzmq cuts longer paths off without a word.
constexpr std::size_t kIpcPathBytesMax = 107;

struct HostPort {
    std::string_view host;
    std::string_view port;
};

std::optional<HostPort> split(std::string_view address) {
    const std::size_t colon = address.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    return HostPort{address.substr(0, colon), address.substr(colon + 1)};
}

bool is_host(std::string_view host) {
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
        return std::all_of(host.begin(), host.end(), [](unsigned char c) {
            return std::isxdigit(c) != 0 || c == ':' || c == '.' || c == '%' || std::isalnum(c) != 0;
        });
    }
    return !host.empty() && std::all_of(host.begin(), host.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_';
    });
}

// The port as a number, or nothing when it is none between 0 and 65535.
std::optional<int> port_number(std::string_view port) {
    int value = 0;
    const auto [end, code] = std::from_chars(port.data(), port.data() + port.size(), value);
    if (code != std::errc{} || end != port.data() + port.size() || value < 0 || value > 65535)
        return std::nullopt;
    return value;
}

std::optional<std::string> tcp_fault(std::string_view address, EndpointUse use) {
    const auto parts = split(address);
    if (!parts) return "has no port; write tcp://host:port";
    const bool bind = use == EndpointUse::bind;
    if (!(is_host(parts->host) || (bind && parts->host == "*"))) {
        return parts->host == "*" ? "cannot be connected to: name a host instead of *"
                                  : "has no usable host; write tcp://host:port";
    }
    if (bind && parts->port == "*") return std::nullopt;
    const std::optional<int> port = port_number(parts->port);
    if (!port) return "has no usable port: allowed is 1 to 65535, for binding also 0 or * (any free port)";
    if (*port == 0 && !bind)
        return "cannot be connected to: port 0 means any free port and is for binding only";
    return std::nullopt;
}

}  // namespace

std::optional<std::string> endpoint_fault(std::string_view endpoint, EndpointUse use) {
    if (endpoint.find_first_of(" \t\r\n") != std::string_view::npos) return "contains white space";
    if (endpoint.starts_with(kTcp)) return tcp_fault(endpoint.substr(kTcp.size()), use);
    if (endpoint.starts_with(kIpc)) {
        const std::string_view path = endpoint.substr(kIpc.size());
        if (path.empty()) return "has no path; write ipc:///run/tasker/steps.sock";
        if (path == "*" && use == EndpointUse::connect)
            return "cannot be connected to: name a path instead of *";
        if (path.size() > kIpcPathBytesMax) {
            return fmt::format("has a path of {} bytes, the system allows {}", path.size(), kIpcPathBytesMax);
        }
        return std::nullopt;
    }
    if (endpoint.starts_with(kInproc)) {
        if (endpoint.size() == kInproc.size()) return "has no name; write inproc://name";
        return std::nullopt;
    }
    return "is no ZeroMQ endpoint; write tcp://host:port, ipc://path or inproc://name";
}

std::optional<std::string> http_address_fault(std::string_view address) {
    if (address == "off") return std::nullopt;
    const auto parts = split(address);
    if (!parts || !(is_host(parts->host) || parts->host == "*"))
        return "is no address; write host:port, or off";
    if (!port_number(parts->port)) return "has no usable port: allowed is 0 (any free port) to 65535";
    return std::nullopt;
}

bool is_local(std::string_view endpoint_or_address) {
    std::string_view address = endpoint_or_address;
    if (address == "off" || address.starts_with(kIpc) || address.starts_with(kInproc)) return true;
    if (address.starts_with(kTcp)) address.remove_prefix(kTcp.size());
    const auto parts = split(address);
    if (!parts) return false;
    // Only spelled-out addresses count: an interface name or another host name may mean anything.
    const std::string_view host = parts->host;
    if (host == "localhost" || host == "[::1]") return true;
    return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

std::string connect_form(std::string_view bound) {
    std::string_view scheme;
    std::string_view address = bound;
    if (address.starts_with(kTcp)) {
        scheme = kTcp;
        address.remove_prefix(kTcp.size());
    } else if (address.find("://") != std::string_view::npos) {
        return std::string(bound);
    }
    const auto parts = split(address);
    if (!parts) return std::string(bound);
    if (parts->host == "*" || parts->host == "0.0.0.0")
        return fmt::format("{}127.0.0.1:{}", scheme, parts->port);
    if (parts->host == "[::]") return fmt::format("{}[::1]:{}", scheme, parts->port);
    return std::string(bound);
}

}  // namespace tasker::options
