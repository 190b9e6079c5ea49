// Frames and topics: what was split joins to the same bytes, and a parsed topic is spelled in one way only.
#include "protocol/cpp/frame.hpp"
#include "tests/fuzz/message_property.hpp"

using namespace tasker;

namespace {

std::string spelled(const protocol::Topic& topic) {
    switch (topic.kind) {
        case protocol::TopicKind::plain_steps:
            return std::string(protocol::kStepsTopic);
        case protocol::TopicKind::workers:
            return std::string(protocol::kWorkersTopic);
        case protocol::TopicKind::results:
            return std::string(protocol::kResultsTopic);
        case protocol::TopicKind::session_steps:
            return protocol::steps_topic(topic.session);
        case protocol::TopicKind::session_control:
            return protocol::control_topic(topic.session);
    }
    return "";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = fuzz::as_text(data, size);
    const auto frame = protocol::split_frame(bytes);
    if (!frame) {
        fuzz::require(frame.error().code == protocol::ErrorCode::bad_frame, "a bad frame is called so");
        fuzz::check_error(frame.error());
        fuzz::require(bytes.empty() || bytes[0] == ' ' || bytes.find(' ') == std::string_view::npos,
                      "only a frame without topic is refused");
        return 0;
    }
    fuzz::require(protocol::make_frame(frame->topic, frame->body) == bytes, "a frame joins as it was split");
    fuzz::require(!frame->topic.empty() && frame->topic.find(' ') == std::string_view::npos,
                  "the first space ends the topic");
    const auto topic = protocol::parse_topic(frame->topic);
    if (!topic) return 0;
    fuzz::require(spelled(*topic) == frame->topic, "a topic has one spelling", frame->topic);
    const bool of_a_session = topic->kind == protocol::TopicKind::session_steps ||
                              topic->kind == protocol::TopicKind::session_control;
    fuzz::require(of_a_session == !topic->session.empty(), "only a session's topics name one");
    fuzz::require(!of_a_session || protocol::is_session_id(topic->session), "a session id is 16 hex digits");
    return 0;
}
