#include "orchestrator/cli/health_probe.hpp"

#include <fmt/format.h>

#include <string_view>
#include <zmq.hpp>

namespace tasker::cli {
namespace {

/// A wildcard can be bound but not connected to.
std::string connectable(std::string endpoint) {
    for (const std::string_view wildcard : {"tcp://*:", "tcp://0.0.0.0:", "tcp://[::]:"}) {
        if (endpoint.starts_with(wildcard)) return "tcp://127.0.0.1:" + endpoint.substr(wildcard.size());
    }
    return endpoint;
}

}  // namespace

tl::expected<Json, std::string> ask_health(const std::string& endpoint, std::chrono::milliseconds limit) {
    try {
        zmq::context_t zmq_context(1);
        zmq::socket_t socket(zmq_context, zmq::socket_type::req);
        socket.set(zmq::sockopt::linger, 0);
        socket.set(zmq::sockopt::rcvtimeo, static_cast<int>(limit.count()));
        socket.set(zmq::sockopt::sndtimeo, static_cast<int>(limit.count()));
        socket.set(zmq::sockopt::maxmsgsize, std::int64_t{1'048'576});
        if (endpoint.starts_with("tcp://[")) socket.set(zmq::sockopt::ipv6, true);
        socket.connect(connectable(endpoint));
        const std::string request = R"({"command":"health_check","level":"detailed"})";
        zmq::message_t reply;
        if (!socket.send(zmq::buffer(request), zmq::send_flags::none) ||
            !socket.recv(reply, zmq::recv_flags::none)) {
            return tl::unexpected(fmt::format("no answer from {} within {} ms", endpoint, limit.count()));
        }
        Json answer = Json::parse(reply.to_string_view(), nullptr, false);
        if (answer.is_discarded() || !answer.is_object()) {
            return tl::unexpected(fmt::format("the answer of {} is not a JSON object", endpoint));
        }
        if (answer.value("ok", false)) return answer;
        return tl::unexpected(fmt::format("{} answered: {}", endpoint, answer.dump()));
    } catch (const zmq::error_t& error) {
        return tl::unexpected(fmt::format("cannot ask {}: {}", endpoint, error.what()));
    } catch (const Json::exception& error) {
        return tl::unexpected(fmt::format("the answer of {} cannot be read: {}", endpoint, error.what()));
    }
}

}  // namespace tasker::cli
