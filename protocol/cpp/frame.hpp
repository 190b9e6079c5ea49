// Frames: `<topic> <JSON object>` in one ZeroMQ frame; the first space ends the topic. Topics are compared
// for equality, since a subscription is only a byte prefix.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "protocol/cpp/error.hpp"
#include "protocol/cpp/messages.hpp"

namespace tasker::protocol {

/// Topics without the space that ends them, and the subscriptions with it.
inline constexpr std::string_view kStepsTopic = "steps";
inline constexpr std::string_view kWorkersTopic = "workers";
inline constexpr std::string_view kResultsTopic = "results";
inline constexpr std::string_view kStepsSessionPrefix = "steps.";
inline constexpr std::string_view kControlSessionPrefix = "control.";
inline constexpr std::string_view kPlainSubscription = "steps ";
inline constexpr std::string_view kWorkersSubscription = "workers ";
inline constexpr std::string_view kResultsSubscription = "results ";
inline constexpr std::size_t kSessionIdLength = 16;

/// 16 lower-case hexadecimal digits.
bool is_session_id(std::string_view text);

/// `steps.<session>` and `control.<session>`, without the space.
std::string steps_topic(std::string_view session);
std::string control_topic(std::string_view session);
/// What to subscribe to: the topic with its trailing space.
std::string steps_subscription(std::string_view session);
std::string control_subscription(std::string_view session);

enum class TopicKind { plain_steps, session_steps, session_control, workers, results };

/// A topic taken apart; `session` views into the text and is empty for topics without one.
struct Topic {
    TopicKind kind = TopicKind::results;
    std::string_view session;
};

/// Parses a topic without its space; nullopt when it is none of the five forms.
std::optional<Topic> parse_topic(std::string_view topic);

/// Views into the frame that was split.
struct Frame {
    std::string_view topic;  // without the space
    std::string_view body;
};

/// Splits at the first space. Error bad_frame when there is no space or nothing before it; the topic is not
/// judged.
tl::expected<Frame, DecodeError> split_frame(std::string_view frame);

/// `<topic> <json>`; `topic` without the space.
std::string make_frame(std::string_view topic, std::string_view json);

/// Whether a message of this kind may travel on this topic (a partial_result on `results `, and so on).
bool belongs_on(TopicKind kind, const WorkerMessage& message);
bool belongs_on(TopicKind kind, const OrchestratorMessage& message);

}  // namespace tasker::protocol
