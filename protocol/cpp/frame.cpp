#include "protocol/cpp/frame.hpp"

#include <algorithm>

namespace tasker::protocol {
namespace {

std::string joined(std::string_view prefix, std::string_view session, std::string_view suffix = "") {
    std::string text;
    text.reserve(prefix.size() + session.size() + suffix.size());
    text.append(prefix).append(session).append(suffix);
    return text;
}

}  // namespace

bool is_session_id(std::string_view text) {
    return text.size() == kSessionIdLength && std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

std::string steps_topic(std::string_view session) {
    return joined(kStepsSessionPrefix, session);
}

std::string control_topic(std::string_view session) {
    return joined(kControlSessionPrefix, session);
}

std::string steps_subscription(std::string_view session) {
    return joined(kStepsSessionPrefix, session, " ");
}

std::string control_subscription(std::string_view session) {
    return joined(kControlSessionPrefix, session, " ");
}

std::optional<Topic> parse_topic(std::string_view topic) {
    if (topic == kResultsTopic) return Topic{TopicKind::results, {}};
    if (topic == kWorkersTopic) return Topic{TopicKind::workers, {}};
    if (topic == kStepsTopic) return Topic{TopicKind::plain_steps, {}};
    for (const auto& [prefix, kind] : {std::pair{kStepsSessionPrefix, TopicKind::session_steps},
                                       std::pair{kControlSessionPrefix, TopicKind::session_control}}) {
        if (topic.substr(0, prefix.size()) != prefix) continue;
        const std::string_view session = topic.substr(prefix.size());
        if (is_session_id(session)) return Topic{kind, session};
    }
    return std::nullopt;
}

tl::expected<Frame, DecodeError> split_frame(std::string_view frame) {
    const std::size_t space = frame.find(' ');
    if (space == std::string_view::npos || space == 0) {
        return tl::unexpected(DecodeError{ErrorCode::bad_frame, "",
                                          space == 0 ? "the frame has no topic before its first space"
                                                     : "the frame has no space that ends its topic"});
    }
    return Frame{frame.substr(0, space), frame.substr(space + 1)};
}

std::string make_frame(std::string_view topic, std::string_view json) {
    std::string frame;
    frame.reserve(topic.size() + 1 + json.size());
    frame.append(topic).append(1, ' ').append(json);
    return frame;
}

bool belongs_on(TopicKind kind, const WorkerMessage& message) {
    const bool report = std::holds_alternative<PartialResult>(message) ||
                        std::holds_alternative<BatchCompletion>(message) ||
                        std::holds_alternative<StepBatchResponse>(message);
    return kind == (report ? TopicKind::results : TopicKind::workers);
}

bool belongs_on(TopicKind kind, const OrchestratorMessage& message) {
    if (std::holds_alternative<StepBatchRequest>(message)) {
        return kind == TopicKind::session_steps || kind == TopicKind::plain_steps;
    }
    if (std::holds_alternative<Probe>(message)) return kind == TopicKind::session_steps;
    return kind == TopicKind::session_control;
}

}  // namespace tasker::protocol
