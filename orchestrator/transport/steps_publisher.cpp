#include "orchestrator/transport/steps_publisher.hpp"

#include <cstring>

#include "orchestrator/transport/peer.hpp"

namespace tasker::transport {
namespace {

// Beyond it, a peer's own queue holds its subscriptions.
constexpr int kSubscriptionsQueued = 1000;

const EndpointRole kRole{"steps", "step_publisher in config/zeromq.yaml, or TASKER_STEPS_ENDPOINT"};

}  // namespace

StepsPublisher::StepsPublisher(zmq::context_t& context, const std::string& endpoint, int queue_hwm)
    : bound_(context, zmq::socket_type::xpub, endpoint, kRole, [queue_hwm](zmq::socket_t& socket) {
          socket.set(zmq::sockopt::xpub_verboser, true);
          socket.set(zmq::sockopt::xpub_nodrop, true);
          socket.set(zmq::sockopt::sndhwm, queue_hwm);
          socket.set(zmq::sockopt::rcvhwm, kSubscriptionsQueued);
          socket.set(zmq::sockopt::maxmsgsize, kSubscriptionBytesMax);
      }) {}

bool StepsPublisher::send(std::string_view topic, std::string_view body) {
    zmq::message_t frame(topic.size() + 1 + body.size());
    char* out = frame.data<char>();
    std::memcpy(out, topic.data(), topic.size());
    out[topic.size()] = ' ';
    if (!body.empty()) std::memcpy(out + topic.size() + 1, body.data(), body.size());
    return send_now(bound_.socket(), frame) == SendResult::sent;
}

std::optional<SubscriptionChange> StepsPublisher::next_change() {
    zmq::message_t frame;
    if (!receive_now(bound_.socket(), frame)) return std::nullopt;
    const int descriptor = descriptor_of(frame);
    const std::string_view bytes(frame.data<char>(), frame.size());
    const bool multipart = discard_rest(bound_.socket(), frame) > 0;
    if (multipart || bytes.empty() || (bytes[0] != 0 && bytes[0] != 1)) {
        return SubscriptionChange{SubscriptionChange::Kind::foreign, std::string(bytes), descriptor};
    }
    using Kind = SubscriptionChange::Kind;
    return SubscriptionChange{bytes[0] == 1 ? Kind::subscribed : Kind::unsubscribed,
                              std::string(bytes.substr(1)), descriptor};
}

}  // namespace tasker::transport
