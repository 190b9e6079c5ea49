#include "orchestrator/engine/io_receive.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>

#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;
namespace {

protocol::DecodeLimits decode_limits(const IoOptions& options) {
    protocol::DecodeLimits limits;
    limits.message_bytes =
        static_cast<std::size_t>(options.limits.result_bytes) + protocol::kEnvelopeBytesMax;
    limits.depth = static_cast<std::size_t>(options.limits.depth);
    return limits;
}

// The session a hello of another protocol version comes from, if it can be found at all.
std::string session_of_unreadable_hello(std::string_view body) {
    const auto json = nlohmann::json::parse(body, nullptr, false);
    if (!json.is_object()) return {};
    const auto text = [&](const char* key) {
        const auto found = json.find(key);
        return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    const std::string type = text("message_type");
    std::string session = text("session");
    return (type == "hello" || type == "Hello") && protocol::is_session_id(session) ? session : std::string();
}

// True when the batch is of this session (or plain, and the report names none): only then does the report
// move credit. The listener records the others as wrong_session.
bool is_of_session(const core::SessionRegistry& registry, std::string_view batch_uuid,
                   std::string_view session) {
    const std::string* owner = registry.flights().session_of(batch_uuid);
    return owner != nullptr && *owner == session;
}

}  // namespace

IoReceiver::IoReceiver(const IoOptions& options, SharedRegistry& registry, IoSessions& sessions,
                       IoDispatch& dispatch, IoPost& post, IoCounters& counters)
    : registry_(registry),
      sessions_(sessions),
      dispatch_(dispatch),
      post_(post),
      counters_(counters),
      decoder_(decode_limits(options)) {}

void IoReceiver::on_multipart(std::string_view first_frame) {
    post_.malformed("", first_frame, to_text(protocol::ErrorCode::kBadFrame),
                    "the message has several frames; every message is one");
}

void IoReceiver::on_frame(std::string_view bytes, milliseconds now) {
    const auto frame = protocol::split_frame(bytes);
    if (!frame) {
        post_.malformed("", bytes, to_text(frame.error().code), frame.error().message);
        return;
    }
    const auto topic = protocol::parse_topic(frame->topic);
    auto message = decoder_.decode_worker_message(frame->body);
    if (!message) {
        on_undecodable(*frame, message.error());
        return;
    }
    if (!topic || !protocol::belongs_on(topic->kind, *message)) {
        post_.malformed(frame->topic, frame->body, to_text(protocol::ErrorCode::kBadFrame),
                        std::string(protocol::message_type_of(*message)) + " does not belong on this topic");
        return;
    }
    std::visit([&](auto& decoded) { handle(decoded, *frame, now); }, *message);
}

void IoReceiver::on_undecodable(const protocol::Frame& frame, const protocol::DecodeError& error) {
    if (error.code == protocol::ErrorCode::kUnsupportedVersion) {
        const std::string session = session_of_unreadable_hello(frame.body);
        if (!session.empty()) {
            sessions_.refuse(session, protocol::kRefusedVersion,
                             "this orchestrator speaks protocol version 1.x: " + error.message);
        }
    }
    post_.malformed(frame.topic, frame.body, to_text(error.code),
                    error.field.empty() ? error.message : error.field + ": " + error.message);
}

// ---------------------------------------------------------------- topic `workers `

void IoReceiver::handle(const protocol::Hello& message, const protocol::Frame& frame, milliseconds now) {
    // Its session becomes part of topics.
    if (!protocol::is_session_id(message.session)) {
        post_.malformed(frame.topic, frame.body, to_text(protocol::ErrorCode::kOutOfRange),
                        "session: must be 16 lower-case hexadecimal digits");
        return;
    }
    sessions_.on_hello(message, now);
}

void IoReceiver::handle(const protocol::Ready& message, const protocol::Frame&, milliseconds now) {
    sessions_.on_ready(message, now);
}

void IoReceiver::handle(const protocol::WorkerHeartbeat& message, const protocol::Frame&, milliseconds now) {
    sessions_.on_heartbeat(message, now);
}

void IoReceiver::handle(const protocol::Goodbye& message, const protocol::Frame&, milliseconds now) {
    sessions_.on_goodbye(message, now);
}

void IoReceiver::handle(const protocol::BatchAccepted& message, const protocol::Frame& frame,
                        milliseconds now) {
    registry_.with([&](auto& registry) { registry.on_heard(message.session, now); });
    switch (dispatch_.on_accepted(message.session, message.batch_id)) {
        case IoDispatch::Acceptance::noted:
            break;
        case IoDispatch::Acceptance::unknown_batch:
            count(counters_.late);
            break;
        case IoDispatch::Acceptance::wrong_session:
            post_.malformed(frame.topic, frame.body, "wrong_session",
                            "the batch was sent to another session");
            break;
    }
}

void IoReceiver::handle(protocol::BatchRejected& message, const protocol::Frame& frame, milliseconds now) {
    count(counters_.reports_received);
    if (!post_.has_room(message.batch_id)) {
        count(counters_.reports_dropped);
        return;
    }
    registry_.with([&](core::SessionRegistry& registry) {
        registry.on_heard(message.session, now);
        if (!is_of_session(registry, message.batch_id, message.session)) return;
        for (const protocol::RejectedStep& step : message.steps) {
            switch (protocol::reject_reason_from_text(step.reason)) {
                case protocol::RejectReason::kDraining:
                    registry.on_drain(message.session, now);
                    break;
                case protocol::RejectReason::kOverCapacity:
                    registry.pause(message.session);
                    break;
                case protocol::RejectReason::kUnknownHandler:
                    if (const auto* handler = registry.flights().handler_class_of(message.batch_id)) {
                        if (!handler->empty()) registry.remove_handler(message.session, *handler);
                    }
                    break;
                case protocol::RejectReason::kTooLarge:
                case protocol::RejectReason::kCancelled:
                case protocol::RejectReason::kStartDenied:
                case protocol::RejectReason::kStartWindowMissed:
                case protocol::RejectReason::kOther:
                    break;
            }
            registry.give_back(message.batch_id, step.step_id);
        }
    });
    dispatch_.on_sign_of_life(message.session, message.batch_id);
    post_report(message, frame);
}

// Granted by the listener, under the step's lock. What finds no room is asked again.
void IoReceiver::handle(const protocol::StartRequest& message, const protocol::Frame&, milliseconds now) {
    registry_.with([&](auto& registry) { registry.on_heard(message.session, now); });
    count(counters_.start_requests);
    if (!post_.has_room(message.batch_id)) {
        count(counters_.reports_dropped);
        return;
    }
    dispatch_.on_sign_of_life(message.session, message.batch_id);
    post_.start_request({message.session, message.batch_id, message.step_id, message.attempt, message.n});
}

// ---------------------------------------------------------------- topic `results `

void IoReceiver::handle(protocol::PartialResult& message, const protocol::Frame& frame, milliseconds now) {
    count(counters_.reports_received);
    if (!post_.has_room(message.batch_id)) {
        count(counters_.reports_dropped);
        return;
    }
    const std::string_view session =
        message.session ? std::string_view(*message.session) : std::string_view();
    const bool started = registry_.with([&](core::SessionRegistry& registry) {
        registry.on_heard(message.sent_by ? std::string_view(*message.sent_by) : session, now);
        if (!is_of_session(registry, message.batch_id, session)) return false;
        if (!protocol::is_final(message.status))
            return registry.note_running(message.batch_id, message.step_id);
        const bool still_running = message.error && message.error->handler_stopped == false;
        registry.give_back(message.batch_id, message.step_id, still_running);
        return false;
    });
    dispatch_.on_sign_of_life(session, message.batch_id);
    if (started && message.attempt) {
        post_.event(ports::StepRunning{message.batch_id, message.step_id, *message.attempt,
                                       message.execution_time_ms});
    }
    post_report(message, frame);
}

void IoReceiver::handle(protocol::BatchCompletion& message, const protocol::Frame& frame, milliseconds now) {
    count(counters_.reports_received);
    if (!post_.has_room(message.batch_id)) {
        count(counters_.reports_dropped);
        return;
    }
    const std::string_view session =
        message.session ? std::string_view(*message.session) : std::string_view();
    registry_.with([&](core::SessionRegistry& registry) {
        registry.on_heard(message.sent_by ? std::string_view(*message.sent_by) : session, now);
        // A plain worker resends nothing: with its completion it is free, whatever became of the partials.
        if (session.empty() && is_of_session(registry, message.batch_id, session)) {
            registry.give_back_all(message.batch_id);
        }
    });
    dispatch_.on_sign_of_life(session, message.batch_id);
    post_report(message, frame);
}

void IoReceiver::handle(protocol::StepBatchResponse& message, const protocol::Frame& frame, milliseconds) {
    count(counters_.reports_received);
    if (!post_.has_room(message.batch_id)) {
        count(counters_.reports_dropped);
        return;
    }
    registry_.with([&](core::SessionRegistry& registry) {
        // The old form names no session and counts as results followed by a completion.
        if (is_of_session(registry, message.batch_id, "")) registry.give_back_all(message.batch_id);
    });
    post_report(message, frame);
}

template <typename Message>
void IoReceiver::post_report(Message& message, const protocol::Frame& frame) {
    post_.report(ports::Report{std::move(message), std::string(frame.body)});
}

}  // namespace tasker::engine
