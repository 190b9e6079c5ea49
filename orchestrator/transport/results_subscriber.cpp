#include "orchestrator/transport/results_subscriber.hpp"

#include "protocol/cpp/frame.hpp"

namespace tasker::transport {
namespace {

const EndpointRole kRole{"results", "result_subscriber in config/zeromq.yaml, or TASKER_RESULTS_ENDPOINT"};

}  // namespace

ResultsSubscriber::ResultsSubscriber(zmq::context_t& context, const std::string& endpoint,
                                     std::int64_t frame_bytes_max)
    : bound_(context, zmq::socket_type::sub, endpoint, kRole, [frame_bytes_max](zmq::socket_t& socket) {
          // What a worker's pipe cannot hold is dropped by its PUB; here nothing may wait for us. The credit
          // bounds what can arrive.
          socket.set(zmq::sockopt::rcvhwm, 0);
          socket.set(zmq::sockopt::maxmsgsize, frame_bytes_max);
      }) {}

void ResultsSubscriber::open() {
    bound_.socket().set(zmq::sockopt::subscribe, protocol::kResultsSubscription);
    bound_.socket().set(zmq::sockopt::subscribe, protocol::kWorkersSubscription);
}

ResultsSubscriber::Received ResultsSubscriber::receive(std::string_view& frame) {
    if (!receive_now(bound_.socket(), frame_)) return Received::nothing;
    frame = std::string_view(frame_.data<char>(), frame_.size());
    return discard_rest(bound_.socket(), frame_) > 0 ? Received::multipart : Received::frame;
}

}  // namespace tasker::transport
