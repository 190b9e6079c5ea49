// Who may subscribe to what on the steps socket.
//
// A message goes to every peer that subscribes to a prefix of its topic, and one of them whose queue is full
// keeps it from all. So a peer that subscribes to more than a whole topic is disconnected at once: stopped,
// it would stop every session. (libzmq 4.3.4 offers nothing gentler: its manual mode can use a pipe that is
// gone.) Two kinds are disconnected only when they really are in the way: `steps` without its space, which
// old plain workers use, and several peers on the topic of one session, which a reconnect looks like.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "orchestrator/core/sessions/spec.hpp"
#include "orchestrator/engine/io/options.hpp"
#include "orchestrator/transport/peer.hpp"
#include "orchestrator/transport/steps_publisher.hpp"

namespace tasker::engine {

/// Belongs to the thread of the steps socket.
class SubscriptionGuard {
  public:
    SubscriptionGuard(std::string endpoint, const Allowance& each)
        : endpoint_(std::move(endpoint)), each_(each) {}

    /// The change as sessions are to see it: `none` when it concerns nobody. May end the peer's connection.
    transport::SubscriptionChange judge(transport::SubscriptionChange change, milliseconds now);
    /// A send to `topic` (without its space) found a full queue: ends the connections that have no right to
    /// be in its way. Those come back if they are alive.
    void on_blocked(std::string_view topic);
    /// Connections ended since the last call.
    std::int64_t take_cut() { return std::exchange(cut_, 0); }

  private:
    struct Known {
        transport::Peer peer;
        Bucket subscriptions;
        bool is_ended = false;
    };

    // A connection ends its own subscriptions only: an id of a session is known to many.
    transport::SubscriptionChange judge_end(transport::SubscriptionChange change, bool is_old_plain,
                                            milliseconds now);
    Known* resolve(int descriptor, milliseconds now);
    void forget_the_gone();
    void end(const transport::Peer& peer, std::string_view why, std::string_view topic);
    void end_all(std::vector<transport::Peer>& peers, std::string_view why, std::string_view topic);

    const std::string endpoint_;
    const Allowance each_;
    std::unordered_map<int, Known> known_;                   // by descriptor
    std::size_t known_max_ = 64;                             // then those that are gone are forgotten
    core::TextMap<std::vector<transport::Peer>> receivers_;  // of each topic that is used, with its space
    std::vector<transport::Peer> old_plain_;                 // of `steps` without it
    std::int64_t cut_ = 0;
};

}  // namespace tasker::engine
