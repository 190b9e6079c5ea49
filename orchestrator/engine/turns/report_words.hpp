// The wire's words for a report as core's types: the one place where the two vocabularies meet.
#pragma once

#include <optional>
#include <string_view>

#include "orchestrator/core/reconciliation.hpp"
#include "protocol/cpp/messages.hpp"

namespace tasker::engine {

/// Nothing for in_progress, which ends no attempt.
inline std::optional<core::ReportStatus> to_core(protocol::ReportStatus status) {
    switch (status) {
        case protocol::ReportStatus::in_progress:
            return std::nullopt;
        case protocol::ReportStatus::completed:
            return core::ReportStatus::completed;
        case protocol::ReportStatus::failed:
            return core::ReportStatus::failed;
        case protocol::ReportStatus::error:
            return core::ReportStatus::error;
    }
    return std::nullopt;
}

inline std::optional<core::ReportStatus> report_status_from(std::string_view text) {
    const auto status = protocol::report_status_from_text(text);
    return status ? to_core(*status) : std::nullopt;
}

inline core::Completion to_core(const protocol::BatchCompletion& message) {
    core::Completion completion;
    completion.total_steps = static_cast<int>(message.total_steps);
    completion.completed_steps = static_cast<int>(message.completed_steps);
    completion.failed_steps = static_cast<int>(message.failed_steps);
    completion.summaries.reserve(message.step_summaries.size());
    for (const auto& summary : message.step_summaries) {
        completion.summaries.push_back({summary.step_id, to_core(summary.final_status)});
    }
    return completion;
}

}  // namespace tasker::engine
