// What everybody on the way of a report asks about it: its kind, its batch, and who sent it. Found out here
// and nowhere else, so that the io thread, the lanes and the turns cannot disagree.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "orchestrator/ports/delivery.hpp"
#include "protocol/cpp/messages.hpp"

namespace tasker::engine {

/// An age or duration as a worker tells it, such that times can be computed with it: at most ten years.
inline std::chrono::milliseconds plausible_age(std::int64_t ms) {
    constexpr std::int64_t kTenYearsMs = 10LL * 366 * 24 * 3600 * 1000;
    return std::chrono::milliseconds(std::clamp<std::int64_t>(ms, 0, kTenYearsMs));
}

enum class ReportKind {
    progress,      // a step runs
    final_result,  // a step has ended
    completion,    // a batch has ended
    rejection,     // steps come back unstarted
    old_form       // results and a completion in one message, of a plain worker
};

/// The views are into the message. `reply_to` is the session that waits for the ack: `sent_by` when present,
/// else `session`; empty when nobody waits. `session` is the batch's as the report names it, empty in plain
/// mode.
struct ReportFacts {
    ReportKind kind = ReportKind::progress;
    std::string_view batch_uuid;
    std::string_view session;
    std::string_view reply_to;
    std::int64_t sequence = 0;
};

namespace detail {

template <typename Message>
ReportFacts facts_with_sender(const Message& message, ReportKind kind) {
    const std::string_view session =
        message.session ? std::string_view(*message.session) : std::string_view();
    const bool replayed = message.sent_by && !message.sent_by->empty();
    return {kind, message.batch_id, session, replayed ? std::string_view(*message.sent_by) : session,
            message.sequence};
}

}  // namespace detail

inline ReportFacts facts_of(const protocol::PartialResult& message) {
    return detail::facts_with_sender(
        message, protocol::is_final(message.status) ? ReportKind::final_result : ReportKind::progress);
}
inline ReportFacts facts_of(const protocol::BatchCompletion& message) {
    return detail::facts_with_sender(message, ReportKind::completion);
}
inline ReportFacts facts_of(const protocol::BatchRejected& message) {
    return {ReportKind::rejection, message.batch_id, message.session, message.session, message.sequence};
}
inline ReportFacts facts_of(const protocol::StepBatchResponse& message) {
    return {ReportKind::old_form, message.batch_id, {}, {}, 0};
}
inline ReportFacts facts_of(const ports::Report& report) {
    return std::visit([](const auto& message) { return facts_of(message); }, report.message);
}

}  // namespace tasker::engine
