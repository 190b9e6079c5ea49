#include "protocol/cpp/messages.hpp"

#include <array>

#include "protocol/cpp/error.hpp"

namespace tasker::protocol {
namespace {

// In the order of the variants; the static_asserts below tie the lengths together.
constexpr std::array<std::string_view, 10> kWorkerTypes = {
    "hello",         "ready",   "worker_heartbeat", "batch_accepted",   "batch_rejected",
    "start_request", "goodbye", "partial_result",   "batch_completion", "step_batch_response"};
constexpr std::array<std::string_view, 11> kOrchestratorTypes = {
    "step_batch_request", "probe",        "welcome",       "refused", "ack", "heartbeat", "cancel", "drain",
    "start_granted",      "start_denied", "report_request"};

static_assert(std::variant_size_v<WorkerMessage> == kWorkerTypes.size());
static_assert(std::variant_size_v<OrchestratorMessage> == kOrchestratorTypes.size());

constexpr std::array<std::string_view, 4> kStatuses = {"in_progress", "completed", "failed", "error"};
constexpr std::array<std::string_view, 9> kReasons = {
    "draining",     "unknown_handler",     "over_capacity", "too_large", "cancelled",
    "start_denied", "start_window_missed", "snoozed",       "other"};
constexpr std::array<std::string_view, 10> kCodes = {
    "bad_frame",  "invalid_utf8",        "malformed_json", "unknown_type", "missing_field",
    "wrong_type", "unsupported_version", "too_deep",       "too_large",    "out_of_range"};

template <std::size_t N>
std::optional<std::size_t> index_in(const std::array<std::string_view, N>& texts, std::string_view text) {
    for (std::size_t i = 0; i < N; ++i) {
        if (texts[i] == text) return i;
    }
    return std::nullopt;
}

}  // namespace

std::string_view to_text(ReportStatus status) {
    return kStatuses[static_cast<std::size_t>(status)];
}

std::optional<ReportStatus> report_status_from_text(std::string_view text) {
    const auto index = index_in(kStatuses, text);
    if (!index) return std::nullopt;
    return static_cast<ReportStatus>(*index);
}

std::string_view to_text(RejectReason reason) {
    return kReasons[static_cast<std::size_t>(reason)];
}

RejectReason reject_reason_from_text(std::string_view text) {
    const auto index = index_in(kReasons, text);
    return index ? static_cast<RejectReason>(*index) : RejectReason::other;
}

std::string_view to_text(ErrorCode code) {
    return kCodes[static_cast<std::size_t>(code)];
}

std::string_view message_type_of(const WorkerMessage& message) {
    return kWorkerTypes[message.index()];
}

std::string_view message_type_of(const OrchestratorMessage& message) {
    return kOrchestratorTypes[message.index()];
}

}  // namespace tasker::protocol
