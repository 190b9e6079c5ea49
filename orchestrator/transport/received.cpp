#include "orchestrator/transport/received.hpp"

#include <dirent.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <fstream>
#include <memory>
#include <optional>
#include <string_view>

namespace tasker::transport {
namespace {

// Nothing for what is no established tcp connection, or where the kernel does not count.
std::optional<std::uint64_t> bytes_received(int fd) {
    tcp_info facts{};
    socklen_t size = sizeof facts;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &facts, &size) != 0) return std::nullopt;
    constexpr std::size_t kNeeded =
        offsetof(tcp_info, tcpi_bytes_received) + sizeof facts.tcpi_bytes_received;
    constexpr int kEstablished = 1;  // TCP_ESTABLISHED, of a header that cannot be included beside this one
    if (size < kNeeded || facts.tcpi_state != kEstablished) return std::nullopt;
    return facts.tcpi_bytes_received;
}

}  // namespace

std::vector<Received> received_at(const std::string& endpoint) {
    std::vector<Received> found;
    if (!endpoint.starts_with("tcp://")) return found;
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc/self/fd"), closedir);
    if (!folder) return found;
    while (const dirent* entry = readdir(folder.get())) {
        const std::string_view name(entry->d_name);
        int fd = -1;
        if (std::from_chars(name.data(), name.data() + name.size(), fd).ec != std::errc()) continue;
        const auto bytes = bytes_received(fd);
        if (!bytes) continue;
        const Peer peer = identify(fd, endpoint);
        if (peer.fd >= 0) found.push_back({peer, *bytes});
    }
    return found;
}

std::uint64_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::uint64_t pages = 0;
    std::uint64_t resident = 0;
    if (!(file >> pages >> resident)) return 0;
    return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace tasker::transport
