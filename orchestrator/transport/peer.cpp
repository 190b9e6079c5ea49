#include "orchestrator/transport/peer.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace tasker::transport {
namespace {

constexpr std::string_view kIpc = "ipc://";
constexpr std::string_view kTcp = "tcp://";

// The number of a socket in the kernel's own file system; 0 when `fd` is no socket.
std::uint64_t socket_number(int fd) {
    struct stat facts {};
    return fstat(fd, &facts) == 0 && S_ISSOCK(facts.st_mode) ? facts.st_ino : 0;
}

// A descriptor of one's own: libzmq may close the peer's, and another thread use its number, at any moment.
class Descriptor {
  public:
    explicit Descriptor(const Peer& peer) : fd_(peer.fd < 0 ? -1 : fcntl(peer.fd, F_DUPFD_CLOEXEC, 0)) {
        if (fd_ >= 0 && socket_number(fd_) != peer.socket) {
            close(fd_);
            fd_ = -1;
        }
    }
    ~Descriptor() {
        if (fd_ >= 0) close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    int fd() const { return fd_; }

  private:
    int fd_;
};

struct Address {
    sockaddr_storage storage{};
    socklen_t size = sizeof(sockaddr_storage);

    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
    template <typename As>
    As as() const {
        As address{};
        std::memcpy(&address, &storage, sizeof(As));
        return address;
    }
    int family() const { return storage.ss_family; }
    int port() const {
        if (family() == AF_INET) return ntohs(as<sockaddr_in>().sin_port);
        return family() == AF_INET6 ? ntohs(as<sockaddr_in6>().sin6_port) : -1;
    }
    std::string path() const {
        const auto address = as<sockaddr_un>();
        const std::size_t begin = offsetof(sockaddr_un, sun_path);
        if (size <= begin) return {};
        const std::string path(address.sun_path,
                               std::min<std::size_t>(size - begin, sizeof address.sun_path));
        // An abstract name begins with a zero byte, and is written with an @.
        return path[0] == '\0' ? "@" + path.substr(1) : path.substr(0, path.find('\0'));
    }
};

bool is_of(int fd, std::string_view endpoint) {
    Address own;
    if (getsockname(fd, own.get(), &own.size) != 0) return false;
    if (endpoint.starts_with(kIpc)) {
        return own.family() == AF_UNIX && own.path() == endpoint.substr(kIpc.size());
    }
    const auto colon = endpoint.rfind(':');
    return endpoint.starts_with(kTcp) && own.port() >= 0 &&
           std::to_string(own.port()) == endpoint.substr(colon + 1);
}

}  // namespace

int descriptor_of(zmq::message_t& frame) {
    return zmq_msg_get(frame.handle(), ZMQ_SRCFD);
}

Peer identify(int fd, const std::string& endpoint) {
    const Peer peer{fd, fd < 0 ? 0 : socket_number(fd)};
    if (peer.socket == 0) return {};
    const Descriptor own(peer);
    return own.fd() >= 0 && is_of(own.fd(), endpoint) ? peer : Peer{};
}

bool is_connected(const Peer& peer) {
    return peer.fd >= 0 && socket_number(peer.fd) == peer.socket;
}

std::string describe(const Peer& peer) {
    const Descriptor own(peer);
    Address other;
    if (own.fd() < 0 || getpeername(own.fd(), other.get(), &other.size) != 0) return {};
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (other.family() == AF_UNIX) {
        ucred process{};
        socklen_t size = sizeof process;
        if (getsockopt(own.fd(), SOL_SOCKET, SO_PEERCRED, &process, &size) != 0) return {};
        return fmt::format("process {}", process.pid);
    }
    if (other.family() == AF_INET6) {
        const auto address = other.as<sockaddr_in6>().sin6_addr;
        inet_ntop(AF_INET6, &address, text.data(), text.size());
        return fmt::format("[{}]:{}", text.data(), other.port());
    }
    const auto address = other.as<sockaddr_in>().sin_addr;
    inet_ntop(AF_INET, &address, text.data(), text.size());
    return fmt::format("{}:{}", text.data(), other.port());
}

bool cut(const Peer& peer) {
    const Descriptor own(peer);
    return own.fd() >= 0 && shutdown(own.fd(), SHUT_RDWR) == 0;
}

}  // namespace tasker::transport
