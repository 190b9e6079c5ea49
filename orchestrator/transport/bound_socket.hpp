// A ZeroMQ socket that is bound to one endpoint, with everything a bind needs: options before it, the lock of
// an ipc path, file permissions, and errors that say what to do.
#pragma once

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <zmq.hpp>

#include "orchestrator/util/file_lock.hpp"

namespace tasker::transport {

/// An endpoint cannot be bound: in use, missing directory, no permission, or not an endpoint at all. `what()`
/// is one sentence for people, naming the endpoint and the next action.
class BindError : public std::runtime_error {
  public:
    BindError(const std::string& endpoint, const std::string& reason)
        : std::runtime_error("cannot bind " + endpoint + ": " + reason) {}
};

/// How an endpoint is named to people: "steps", and the settings that choose it.
struct EndpointRole {
    std::string name;     // steps | results | command
    std::string setting;  // "step_publisher in config/zeromq.yaml or TASKER_STEPS_ENDPOINT"
};

/// How long a closed socket goes on sending what it has queued.
inline constexpr int kLingerMs = 300;

/// Owns socket, lock and socket file. Made by one thread, then used and closed by exactly one.
class BoundSocket {
  public:
    /// Applies `options`, then binds. `tcp://host:0` and `ipc://*` choose a free endpoint. The host is an
    /// address of IPv4 or (in brackets) IPv6, `localhost`, `*` or an interface. Throws BindError.
    BoundSocket(zmq::context_t& context, zmq::socket_type type, const std::string& endpoint,
                const EndpointRole& role, const std::function<void(zmq::socket_t&)>& options);
    ~BoundSocket();
    BoundSocket(const BoundSocket&) = delete;
    BoundSocket& operator=(const BoundSocket&) = delete;

    zmq::socket_t& socket() { return socket_; }
    /// What was really bound: the port that was free, the path that was made.
    const std::string& endpoint() const { return endpoint_; }

  private:
    zmq::socket_t socket_;
    std::string endpoint_;
    std::string ipc_path_;  // to be removed at the end; empty for other transports
    // libzmq unlinks an existing socket file before it binds, so without a lock a second orchestrator would
    // quietly steal the first one's new connections.
    std::optional<util::FileLock> lock_;
};

}  // namespace tasker::transport
