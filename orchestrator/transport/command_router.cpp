#include "orchestrator/transport/command_router.hpp"

#include <utility>

#include "orchestrator/transport/peer.hpp"

namespace tasker::transport {
namespace {

const EndpointRole kRole{"command", "command in config/zeromq.yaml, or TASKER_COMMAND_ENDPOINT"};

}  // namespace

CommandRouter::CommandRouter(zmq::context_t& context, const std::string& endpoint,
                             std::int64_t request_bytes_max)
    : bound_(context, zmq::socket_type::router, endpoint, kRole, [request_bytes_max](zmq::socket_t& socket) {
          socket.set(zmq::sockopt::router_mandatory, true);
          socket.set(zmq::sockopt::router_handover, true);
          socket.set(zmq::sockopt::maxmsgsize, request_bytes_max);
      }) {}

std::optional<CommandRequest> CommandRouter::receive() {
    CommandRequest request;
    if (!receive_now(bound_.socket(), request.client)) return std::nullopt;
    bool more = request.client.more();
    int bodies = 0;
    while (more) {
        zmq::message_t frame;
        if (!receive_now(bound_.socket(), frame)) break;
        more = frame.more();
        request.descriptor = descriptor_of(frame);
        if (bodies == 0 && !request.delimited && frame.empty() && more) {
            request.delimited = true;
            continue;
        }
        if (++bodies == 1) request.body.assign(frame.data<char>(), frame.size());
    }
    request.well_formed = bodies == 1;
    return request;
}

bool CommandRouter::reply(CommandRequest& request, std::string_view body) {
    if (send_now(bound_.socket(), request.client, true) != SendResult::sent) return false;
    // Once the first part has gone, the others follow without being refused.
    zmq::message_t delimiter;
    if (request.delimited && send_now(bound_.socket(), delimiter, true) != SendResult::sent) return false;
    zmq::message_t frame(body.data(), body.size());
    return send_now(bound_.socket(), frame) == SendResult::sent;
}

}  // namespace tasker::transport
