#include "orchestrator/transport/results_subscriber.hpp"

#include <algorithm>

#include "orchestrator/transport/peer.hpp"
#include "protocol/cpp/frame.hpp"

namespace tasker::transport {
namespace {

const EndpointRole kRole{"results", "result_subscriber in config/zeromq.yaml, or TASKER_RESULTS_ENDPOINT"};

// What may wait here of one peer: memory for a flood, and enough that nobody waits for this thread.
constexpr std::int64_t kQueuedBytesMax = std::int64_t{64} * 1024 * 1024;
constexpr std::int64_t kQueuedFramesMin = 128;
constexpr std::int64_t kQueuedFramesMax = 1000;

int queued_frames(std::int64_t frame_bytes_max) {
    return static_cast<int>(
        std::clamp(kQueuedBytesMax / frame_bytes_max, kQueuedFramesMin, kQueuedFramesMax));
}

}  // namespace

ResultsSubscriber::ResultsSubscriber(zmq::context_t& context, const std::string& endpoint,
                                     std::int64_t frame_bytes_max)
    : bound_(context, zmq::socket_type::sub, endpoint, kRole, [frame_bytes_max](zmq::socket_t& socket) {
          // A peer that sends faster than this thread reads fills its own queue, in its own process. The
          // credit bounds what an honest one has to send.
          socket.set(zmq::sockopt::rcvhwm, queued_frames(frame_bytes_max));
          socket.set(zmq::sockopt::maxmsgsize, frame_bytes_max);
      }) {}

void ResultsSubscriber::open() {
    bound_.socket().set(zmq::sockopt::subscribe, protocol::kResultsSubscription);
    bound_.socket().set(zmq::sockopt::subscribe, protocol::kWorkersSubscription);
}

ResultsSubscriber::Received ResultsSubscriber::receive(std::string_view& frame) {
    if (!receive_now(bound_.socket(), frame_)) return Received::nothing;
    frame = std::string_view(frame_.data<char>(), frame_.size());
    descriptor_ = descriptor_of(frame_);
    return discard_rest(bound_.socket(), frame_) > 0 ? Received::multipart : Received::frame;
}

}  // namespace tasker::transport
