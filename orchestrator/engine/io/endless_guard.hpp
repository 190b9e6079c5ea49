// Ends connections that send one message of endless parts.
//
// libzmq keeps all parts of a message until the last has come, whatever the limits of its queues, and shows
// nothing of it before. The kernel counts what a tcp connection has brought. So a connection that brings more
// than its socket's longest message, while this process reads all that is whole and nothing of it is, holds such
// a message. It is looked for while this process grows, which is cheap. Unix sockets have no such count.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "orchestrator/engine/io/options.hpp"
#include "orchestrator/transport/received.hpp"

namespace tasker::engine {

/// How often it is looked whether this process has grown, and by how much it may. Memory that was freed before may be
/// filled without that, so connections are looked at from time to time all the same.
inline constexpr milliseconds kGrowthEvery{100};
inline constexpr milliseconds kLookAlways{5000};
inline constexpr std::uint64_t kGrowthUnseen = std::uint64_t{32} * 1024 * 1024;

/// Belongs to the thread of the sockets.
class EndlessGuard {
  public:
    /// Whether something whole came on this connection at or after that time, as others know it.
    using IsHeard = std::function<bool(int descriptor, milliseconds since)>;

    /// `message_bytes_max`: a whole message of one of its connections is never longer. `name`: of the endpoint.
    EndlessGuard(std::string name, std::string endpoint, std::uint64_t message_bytes_max)
        : name_(std::move(name)), endpoint_(std::move(endpoint)), message_bytes_max_(message_bytes_max) {}

    /// The kernel counts what its connections bring.
    bool is_possible() const { return endpoint_.starts_with("tcp://"); }
    /// Something whole came on this connection (-1: not known).
    void hear(int descriptor, milliseconds now) { heard_[descriptor] = now; }
    /// Call when everything whole has been read, or most of it. Returns how many connections it has ended.
    std::int64_t check(milliseconds now, const IsHeard& is_heard_elsewhere = nullptr);

  private:
    struct Known {
        std::uint64_t bytes = 0;  // when something whole was last known to have come
        milliseconds at{0};
        std::uint64_t pass = 0;
    };

    bool is_due(milliseconds now);
    bool is_heard(int descriptor, milliseconds since) const;

    const std::string name_;
    const std::string endpoint_;
    const std::uint64_t message_bytes_max_;
    std::unordered_map<std::uint64_t, Known> known_;  // by socket
    std::unordered_map<int, milliseconds> heard_;     // by descriptor
    std::uint64_t pass_ = 0;
    std::uint64_t resident_ = 0;
    milliseconds looked_at_{0};   // at the size of this process
    milliseconds checked_at_{0};  // at the connections
    bool suspects_ =
        false;  // some connection has brought something, and nothing whole, since it was last seen
};

}  // namespace tasker::engine
