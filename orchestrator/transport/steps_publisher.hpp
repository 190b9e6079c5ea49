// The `steps` socket: XPUB, so that the orchestrator sees who subscribes to what, and when that ends.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "orchestrator/transport/bound_socket.hpp"
#include "orchestrator/transport/socket_call.hpp"

namespace tasker::transport {

/// A peer subscribed, or one subscription of a peer ended (also by the death of its connection). `foreign` is
/// anything else that a peer sent upstream: it has no meaning, `topic` holds its bytes. `none` is for those
/// who pass changes on: this one means nothing to anybody.
struct SubscriptionChange {
    enum class Kind { subscribed, unsubscribed, foreign, none };
    Kind kind = Kind::foreign;
    std::string topic;
    int descriptor = -1;  // of the connection it came on; not known of an `unsubscribed`
};

/// Only subscriptions arrive here. A limit keeps a peer from filling memory with one enormous topic.
inline constexpr std::int64_t kSubscriptionBytesMax = 512;

/// Sends to topics without ever waiting. Belongs to one thread.
class StepsPublisher {
  public:
    /// `queue_hwm`: messages that may wait for one peer before `send` says false. Throws BindError.
    StepsPublisher(zmq::context_t& context, const std::string& endpoint, int queue_hwm);

    /// `<topic> <body>` in one frame. False when a subscriber's queue is full: then nobody got it. True when
    /// there was no subscriber at all, too: a send proves nothing about delivery.
    bool send(std::string_view topic, std::string_view body);

    /// The next change of subscriptions; nullopt when none waits.
    std::optional<SubscriptionChange> next_change();

    const std::string& endpoint() const { return bound_.endpoint(); }
    zmq::pollitem_t poll_item() { return {bound_.socket().handle(), 0, ZMQ_POLLIN, 0}; }

  private:
    BoundSocket bound_;
};

}  // namespace tasker::transport
