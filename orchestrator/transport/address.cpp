#include "orchestrator/transport/address.hpp"

#include <netdb.h>
#include <sys/socket.h>

namespace tasker::transport {
namespace {

constexpr std::string_view kLocalhost = "tcp://localhost:";
constexpr std::string_view kBracket = "tcp://[";

bool has_address(int family) {
    addrinfo wanted{};
    wanted.ai_family = family;
    wanted.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo("localhost", nullptr, &wanted, &found) != 0) return false;
    freeaddrinfo(found);
    return true;
}

}  // namespace

std::string bindable(const std::string& endpoint) {
    if (!endpoint.starts_with(kLocalhost)) return endpoint;
    const bool only_ipv6 = !has_address(AF_INET) && has_address(AF_INET6);
    return (only_ipv6 ? "tcp://[::1]:" : "tcp://127.0.0.1:") + endpoint.substr(kLocalhost.size());
}

bool is_ipv6(std::string_view endpoint) {
    return endpoint.starts_with(kBracket);
}

}  // namespace tasker::transport
