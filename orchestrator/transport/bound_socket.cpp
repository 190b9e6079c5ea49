#include "orchestrator/transport/bound_socket.hpp"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string_view>

#include "orchestrator/transport/address.hpp"

namespace tasker::transport {
namespace {

constexpr std::string_view kIpc = "ipc://";
// Owner and group may connect; connecting needs the write permission.
constexpr mode_t kIpcUmask = 0117;

// Dead peers on tcp: probes from the kernel, and a limit for unacknowledged data. ZMTP heartbeats stay off,
// since libzmq 4.3.4 can abort when one meets backpressure.
void set_tcp_liveness(zmq::socket_t& socket) {
    socket.set(zmq::sockopt::tcp_keepalive, 1);
    socket.set(zmq::sockopt::tcp_keepalive_idle, 30);
    socket.set(zmq::sockopt::tcp_keepalive_intvl, 10);
    socket.set(zmq::sockopt::tcp_keepalive_cnt, 3);
    socket.set(zmq::sockopt::tcp_maxrt, 20000);
    socket.set(zmq::sockopt::handshake_ivl, 3000);
    socket.set(zmq::sockopt::backlog, 1024);
}

class UmaskGuard {
  public:
    explicit UmaskGuard(mode_t mask) : old_(umask(mask)) {}
    ~UmaskGuard() { umask(old_); }
    UmaskGuard(const UmaskGuard&) = delete;
    UmaskGuard& operator=(const UmaskGuard&) = delete;

  private:
    mode_t old_;
};

std::string advice_for(const EndpointRole& role) {
    return fmt::format("Stop the process that serves it, or choose another {} endpoint ({})", role.name,
                       role.setting);
}

std::string explain_bind(int code, const EndpointRole& role) {
    switch (code) {
        case EADDRINUSE:
            return "the address is in use. " + advice_for(role);
        case EADDRNOTAVAIL:
        case ENODEV:
            return fmt::format(
                "this machine has no such address. Write a number such as 127.0.0.1, or the name "
                "of a network interface, for the {} endpoint ({})",
                role.name, role.setting);
        case EACCES:
            return fmt::format("no permission. Choose another {} endpoint ({})", role.name, role.setting);
        case ENAMETOOLONG:
            return "the path is too long: at most 107 bytes are possible, choose a shorter one";
        case EINVAL:
        case EPROTONOSUPPORT:
            return fmt::format("this is no endpoint; write tcp://HOST:PORT or ipc://PATH for {} ({})",
                               role.name, role.setting);
        default:
            return fmt::format("{} (errno {}). {}", zmq_strerror(code), code, advice_for(role));
    }
}

// `<path>.lock`; the kernel lets go of it when the process dies.
util::FileLock lock_ipc_path(const std::string& endpoint, const EndpointRole& role) {
    const std::filesystem::path path(endpoint.substr(kIpc.size()));
    const auto directory = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    std::error_code ignored;  // a directory that cannot be looked at is named by the error of the lock
    if (!std::filesystem::is_directory(directory, ignored)) {
        throw BindError(endpoint,
                        fmt::format("the directory {} does not exist: create it first, or choose another "
                                    "{} endpoint ({})",
                                    directory.string(), role.name, role.setting));
    }
    auto lock = util::FileLock::try_acquire(path.string() + ".lock", fmt::format("process {}", getpid()));
    if (lock) return std::move(*lock);
    if (!lock.error().held) throw BindError(endpoint, lock.error().text);
    const std::string& holder = lock.error().holder;
    throw BindError(endpoint, fmt::format("it is in use by {}. {}",
                                          holder.empty() ? "another process" : holder, advice_for(role)));
}

bool is_ipc_path(std::string_view endpoint) {
    return endpoint.substr(0, kIpc.size()) == kIpc && endpoint.size() > kIpc.size() &&
           endpoint[kIpc.size()] != '@' && endpoint[kIpc.size()] != '*';
}

}  // namespace

BoundSocket::BoundSocket(zmq::context_t& context, zmq::socket_type type, const std::string& endpoint,
                         const EndpointRole& role, const std::function<void(zmq::socket_t&)>& options)
    : socket_(context, type) {
    set_tcp_liveness(socket_);
    socket_.set(zmq::sockopt::linger, kLingerMs);
    options(socket_);
    if (is_ipv6(bindable(endpoint))) socket_.set(zmq::sockopt::ipv6, true);
    if (is_ipc_path(endpoint)) lock_ = lock_ipc_path(endpoint, role);
    try {
        const UmaskGuard guard(kIpcUmask);
        socket_.bind(bindable(endpoint));
    } catch (const zmq::error_t& error) {
        throw BindError(endpoint, explain_bind(error.num(), role));
    }
    endpoint_ = socket_.get(zmq::sockopt::last_endpoint);
    if (is_ipc_path(endpoint_)) ipc_path_ = endpoint_.substr(kIpc.size());
}

BoundSocket::~BoundSocket() {
    socket_.close();
    // libzmq leaves the file; while the lock is held nobody else can have made it anew.
    if (!ipc_path_.empty()) unlink(ipc_path_.c_str());
}

}  // namespace tasker::transport
