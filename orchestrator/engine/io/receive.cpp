#include "orchestrator/engine/io/receive.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>

#include "orchestrator/engine/io/hello_check.hpp"
#include "orchestrator/engine/turns/report_facts.hpp"

namespace tasker::engine {

namespace {

protocol::DecodeLimits decode_limits(const IoOptions& options) {
    protocol::DecodeLimits limits;
    limits.message_bytes = static_cast<std::size_t>(received_frame_bytes_max(options.limits));
    limits.depth = static_cast<std::size_t>(options.limits.depth);
    return limits;
}

struct UnreadableHello {
    std::string session;  // empty: it cannot be found
    std::optional<std::string> nonce;
};

// The session a hello of another protocol version comes from.
UnreadableHello unreadable_hello(std::string_view body) {
    const auto json = nlohmann::json::parse(body, nullptr, false);
    if (!json.is_object()) return {};
    const auto text = [&](const char* key) {
        const auto found = json.find(key);
        return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    const std::string type = text("message_type");
    UnreadableHello hello{text("session"), std::nullopt};
    if ((type != "hello" && type != "Hello") || !protocol::is_session_id(hello.session)) return {};
    std::string nonce = text("hello_nonce");
    if (!nonce.empty() && nonce.size() <= kNonceBytesMax) hello.nonce = std::move(nonce);
    return hello;
}

// Only these bring outputs, which have a limit of their own.
bool holds_results(const protocol::WorkerMessage& message) {
    return std::holds_alternative<protocol::PartialResult>(message) ||
           std::holds_alternative<protocol::StepBatchResponse>(message);
}

std::string_view session_of(const protocol::WorkerMessage& message) {
    return std::visit(
        [](const auto& it) -> std::string_view {
            if constexpr (requires { it.session.has_value(); }) {
                return it.session ? std::string_view(*it.session) : std::string_view();
            } else if constexpr (requires { it.session; }) {
                return it.session;
            } else {
                return {};
            }
        },
        message);
}

}  // namespace

IoReceiver::IoReceiver(const IoOptions& options, SharedRegistry& registry, IoSessions& sessions,
                       IoDispatch& dispatch, IoPost& post, FloodGate& gate, IoCounters& counters)
    : options_(options),
      registry_(registry),
      sessions_(sessions),
      dispatch_(dispatch),
      post_(post),
      gate_(gate),
      counters_(counters),
      decoder_(decode_limits(options)) {}

void IoReceiver::on_multipart(std::string_view first_frame) {
    post_.malformed("", first_frame, to_text(protocol::ErrorCode::bad_frame),
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
        post_.malformed(frame->topic, frame->body, to_text(protocol::ErrorCode::bad_frame),
                        std::string(protocol::message_type_of(*message)) + " does not belong on this topic");
        return;
    }
    too_large_ = is_too_large(*message, *frame);
    if (too_large_) {
        count(counters_.frames_too_large);
        sessions_.record_fault(session_of(*message), core::SessionFault::too_large,
                               std::string(protocol::message_type_of(*message)) + ", " +
                                   std::to_string(bytes.size()) + " bytes");
        if (topic->kind == protocol::TopicKind::workers &&
            !std::holds_alternative<protocol::BatchRejected>(*message)) {
            refuse_too_large(*message, *frame);
            return;
        }
    }
    std::visit([&](auto& decoded) { handle(decoded, *frame, now); }, *message);
}

void IoReceiver::on_undecodable(const protocol::Frame& frame, const protocol::DecodeError& error) {
    if (error.code == protocol::ErrorCode::unsupported_version) {
        const UnreadableHello hello = unreadable_hello(frame.body);
        if (!hello.session.empty()) {
            sessions_.refuse(hello.session, protocol::kRefusedVersion,
                             "this orchestrator speaks protocol version 1.x: " + error.message, hello.nonce);
        }
    }
    // Its size is judged first, though more was read.
    const bool is_over =
        static_cast<std::int64_t>(frame.topic.size() + 1 + frame.body.size()) > bytes_max(false);
    post_.malformed(frame.topic, frame.body, to_text(is_over ? protocol::ErrorCode::too_large : error.code),
                    error.field.empty() ? error.message : error.field + ": " + error.message);
}

std::int64_t IoReceiver::bytes_max(bool with_results) const {
    return with_results ? result_frame_bytes_max(options_.limits) : plain_frame_bytes_max(options_.limits);
}

bool IoReceiver::is_too_large(const protocol::WorkerMessage& message, const protocol::Frame& frame) const {
    const auto bytes = static_cast<std::int64_t>(frame.topic.size() + 1 + frame.body.size());
    return bytes > bytes_max(false) || (bytes > bytes_max(true) && holds_results(message));
}

// A hello of that size comes again and again, and nothing else would show its worker why nobody answers.
void IoReceiver::refuse_too_large(const protocol::WorkerMessage& message, const protocol::Frame& frame) {
    const std::string reason = std::string(protocol::message_type_of(message)) + " has " +
                               std::to_string(frame.body.size()) + " bytes, at most " +
                               std::to_string(bytes_max(false)) + " are allowed";
    const std::string_view session = session_of(message);
    post_.malformed(frame.topic, frame.body, to_text(protocol::ErrorCode::too_large), reason, session);
    const auto* hello = std::get_if<protocol::Hello>(&message);
    const bool known = registry_.with([&](auto& registry) { return registry.find(session) != nullptr; });
    if (hello != nullptr && !known)
        sessions_.refuse(session, protocol::kRefusedNotAllowed, reason, hello->hello_nonce);
}

// ---------------------------------------------------------------- topic `workers `

void IoReceiver::handle(const protocol::Hello& message, const protocol::Frame& frame, milliseconds now) {
    if (!gate_.admit_hello()) {
        count(counters_.frames_flooded);
        return;
    }
    // Its session becomes part of topics.
    if (!protocol::is_session_id(message.session)) {
        post_.malformed(frame.topic, frame.body, to_text(protocol::ErrorCode::out_of_range),
                        "session: must be 16 lower-case hexadecimal digits");
        return;
    }
    sessions_.on_hello(message, frame.body, now, gate_.peer());
}

void IoReceiver::handle(const protocol::Ready& message, const protocol::Frame&, milliseconds now) {
    sessions_.on_ready(message, now);
}

void IoReceiver::handle(const protocol::WorkerHeartbeat& message, const protocol::Frame& frame,
                        milliseconds now) {
    sessions_.on_heartbeat(message, frame.body, now);
}

void IoReceiver::handle(const protocol::Goodbye& message, const protocol::Frame&, milliseconds now) {
    sessions_.on_goodbye(message, now);
}

void IoReceiver::handle(const protocol::BatchAccepted& message, const protocol::Frame& frame,
                        milliseconds now) {
    registry_.with([&](auto& registry) { registry.on_heard(message.session, now); });
    switch (dispatch_.on_accepted(message.session, message.batch_id)) {
        case IoDispatch::Acceptance::recorded:
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
    take_report(message, frame, now, [&](core::SessionRegistry& registry) {
        for (const auto& step : message.steps) {
            take_refusal(registry, message, protocol::reject_reason_from_text(step.reason), now);
            registry.give_back(message.batch_id, step.step_id);
        }
    });
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
    take_report(message, frame, now, [&](core::SessionRegistry& registry) {
        if (protocol::is_final(message.status)) {
            const bool still_running = message.error && message.error->handler_stopped == false;
            registry.give_back(message.batch_id, message.step_id, still_running);
        } else if (registry.record_running(message.batch_id, message.step_id) && message.attempt) {
            post_.event(ports::StepRunning{message.batch_id, message.step_id, *message.attempt,
                                           message.execution_time_ms});
        }
    });
}

void IoReceiver::handle(protocol::BatchCompletion& message, const protocol::Frame& frame, milliseconds now) {
    take_report(message, frame, now, [&](core::SessionRegistry& registry) {
        // A plain worker resends nothing: with its completion it is free, whatever became of the partials.
        if (!message.session || message.session->empty()) registry.give_back_all(message.batch_id);
    });
}

void IoReceiver::handle(protocol::StepBatchResponse& message, const protocol::Frame& frame,
                        milliseconds now) {
    // The old form names no session and counts as results followed by a completion.
    take_report(message, frame, now,
                [&](core::SessionRegistry& registry) { registry.give_back_all(message.batch_id); });
}

// What finds no room must have no effect at all: its sender will send it again. Only a report of the batch's
// own session (or a plain one of a plain batch) moves credit; the listener records the others as
// wrong_session.
template <typename Message, typename MoveCredit>
void IoReceiver::take_report(Message& message, const protocol::Frame& frame, milliseconds now,
                             MoveCredit move_credit) {
    count(counters_.reports_received);
    const auto facts = facts_of(message);
    const bool awaited = registry_.with([&](const core::SessionRegistry& registry) {
        const std::string* owner = registry.flights().session_of(facts.batch_uuid);
        return owner != nullptr && *owner == facts.session;
    });
    if (!(awaited ? post_.has_room(facts.batch_uuid) : post_.has_room_to_spare(facts.batch_uuid))) {
        count(counters_.reports_dropped);
        return;
    }
    const bool moved = registry_.with([&](core::SessionRegistry& registry) {
        registry.on_heard(facts.reply_to, now);
        const std::int64_t before = registry.credit_in_flight();
        if (awaited) move_credit(registry);
        return registry.credit_in_flight() != before;
    });
    moved ? gate_.earn() : gate_.waste();
    if (moved) sessions_.on_step_ended(facts.session);
    dispatch_.on_sign_of_life(facts.session, facts.batch_uuid);
    post_.report(ports::Report{std::move(message), std::string(frame.body), too_large_});
}

// What a session will not take it is not offered again.
void IoReceiver::take_refusal(core::SessionRegistry& registry, const protocol::BatchRejected& message,
                              protocol::RejectReason reason, milliseconds now) {
    switch (reason) {
        case protocol::RejectReason::draining:
            registry.on_drain(message.session, now);
            break;
        case protocol::RejectReason::over_capacity:
            registry.pause(message.session);
            break;
        case protocol::RejectReason::unknown_handler:
            if (const auto* handler = registry.flights().handler_class_of(message.batch_id)) {
                registry.remove_handler(message.session, *handler);
            }
            break;
        case protocol::RejectReason::too_large:
        case protocol::RejectReason::cancelled:
        case protocol::RejectReason::start_denied:
        case protocol::RejectReason::start_window_missed:
        case protocol::RejectReason::snoozed:
        case protocol::RejectReason::other:
            break;
    }
}

}  // namespace tasker::engine
