#include "orchestrator/core/states.hpp"

namespace tasker::core {
namespace {

using TS = TaskState;
using TE = TaskEvent;
constexpr std::array kTaskTransitions = {
    Transition<TS, TE>{TS::pending, TE::start, TS::in_progress},
    Transition<TS, TE>{TS::pending, TE::cancel, TS::cancelled},
    Transition<TS, TE>{TS::pending, TE::fail, TS::error},
    Transition<TS, TE>{TS::pending, TE::resolve_manually, TS::resolved_manually},
    Transition<TS, TE>{TS::in_progress, TE::complete, TS::complete},
    Transition<TS, TE>{TS::in_progress, TE::fail, TS::error},
    Transition<TS, TE>{TS::in_progress, TE::cancel, TS::cancelled},
    Transition<TS, TE>{TS::in_progress, TE::resolve_manually, TS::resolved_manually},
    Transition<TS, TE>{TS::error, TE::cancel, TS::cancelled},
    Transition<TS, TE>{TS::error, TE::resolve_manually, TS::resolved_manually},
    Transition<TS, TE>{TS::error, TE::reopen, TS::in_progress},
};

using SS = StepState;
using SE = StepEvent;
constexpr std::array kStepTransitions = {
    Transition<SS, SE>{SS::pending, SE::claim, SS::in_progress},
    Transition<SS, SE>{SS::pending, SE::request_too_large, SS::error},
    Transition<SS, SE>{SS::pending, SE::cancel, SS::cancelled},
    Transition<SS, SE>{SS::in_progress, SE::complete, SS::complete},
    Transition<SS, SE>{SS::in_progress, SE::await_retry, SS::waiting_for_retry},
    Transition<SS, SE>{SS::in_progress, SE::fail, SS::error},
    Transition<SS, SE>{SS::in_progress, SE::hand_back, SS::pending},
    Transition<SS, SE>{SS::in_progress, SE::cancel, SS::cancelled},
    Transition<SS, SE>{SS::waiting_for_retry, SE::claim, SS::in_progress},
    Transition<SS, SE>{SS::waiting_for_retry, SE::complete, SS::complete},
    Transition<SS, SE>{SS::waiting_for_retry, SE::cancel, SS::cancelled},
    Transition<SS, SE>{SS::error, SE::retry, SS::pending},
    Transition<SS, SE>{SS::error, SE::resolve_manually, SS::resolved_manually},
};

using BS = BatchState;
using BE = BatchEvent;
constexpr std::array kBatchTransitions = {
    Transition<BS, BE>{BS::created, BE::publish, BS::published},
    Transition<BS, BE>{BS::created, BE::cancel, BS::cancelled},
    Transition<BS, BE>{BS::published, BE::start, BS::executing},
    Transition<BS, BE>{BS::published, BE::time_out, BS::timed_out},
    Transition<BS, BE>{BS::published, BE::cancel, BS::cancelled},
    Transition<BS, BE>{BS::executing, BE::finish_completed, BS::completed},
    Transition<BS, BE>{BS::executing, BE::finish_partially_failed, BS::partially_failed},
    Transition<BS, BE>{BS::executing, BE::finish_failed, BS::failed},
    Transition<BS, BE>{BS::executing, BE::time_out, BS::timed_out},
    Transition<BS, BE>{BS::executing, BE::cancel, BS::cancelled},
};

template <typename Table, typename State, typename Event>
std::optional<State> look_up(const Table& table, State from, Event event) {
    for (const auto& row : table) {
        if (row.from == from && row.event == event) return row.to;
    }
    return std::nullopt;
}

// In the order of the enumerations.
constexpr std::array<std::string_view, 6> kTaskNames = {"pending", "in_progress", "complete",
                                                        "error",   "cancelled",   "resolved_manually"};
constexpr std::array<std::string_view, 7> kStepNames = {
    "pending", "in_progress", "waiting_for_retry", "complete", "error", "cancelled", "resolved_manually"};
constexpr std::array<std::string_view, 8> kBatchNames = {
    "created", "published", "executing", "completed", "partially_failed", "failed", "timed_out", "cancelled"};
constexpr std::array<std::string_view, 9> kStepEventNames = {"claim", "complete",         "await_retry",
                                                             "fail",  "hand_back",        "request_too_large",
                                                             "retry", "resolve_manually", "cancel"};

template <typename State, typename Names>
std::optional<State> parse(const Names& names, std::string_view text) {
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i] == text) return static_cast<State>(i);
    }
    return std::nullopt;
}

}  // namespace

std::optional<TaskState> next_state(TaskState from, TaskEvent event) {
    return look_up(kTaskTransitions, from, event);
}
std::optional<StepState> next_state(StepState from, StepEvent event) {
    return look_up(kStepTransitions, from, event);
}
std::optional<BatchState> next_state(BatchState from, BatchEvent event) {
    return look_up(kBatchTransitions, from, event);
}

bool is_terminal(TaskState state) {
    return state != TaskState::pending && state != TaskState::in_progress;
}
bool is_terminal(StepState state) {
    return state != StepState::pending && state != StepState::in_progress &&
           state != StepState::waiting_for_retry;
}
bool is_terminal(BatchState state) {
    return state != BatchState::created && state != BatchState::published && state != BatchState::executing;
}

bool satisfies_dependents(StepState state) {
    return state == StepState::complete || state == StepState::resolved_manually;
}

std::string_view to_text(TaskState state) {
    return kTaskNames[static_cast<std::size_t>(state)];
}
std::string_view to_text(StepState state) {
    return kStepNames[static_cast<std::size_t>(state)];
}
std::string_view to_text(BatchState state) {
    return kBatchNames[static_cast<std::size_t>(state)];
}
std::string_view to_text(StepEvent event) {
    return kStepEventNames[static_cast<std::size_t>(event)];
}
std::optional<TaskState> parse_task_state(std::string_view text) {
    return parse<TaskState>(kTaskNames, text);
}
std::optional<StepState> parse_step_state(std::string_view text) {
    return parse<StepState>(kStepNames, text);
}
std::optional<BatchState> parse_batch_state(std::string_view text) {
    return parse<BatchState>(kBatchNames, text);
}

StepEvent verdict(const VerdictInput& input) {
    if (input.status == ReportStatus::completed) return StepEvent::complete;
    const bool may_retry = input.status == ReportStatus::failed && input.report_retryable.value_or(true) &&
                           input.step_retryable && input.counted_attempts < input.retry_limit;
    // A timed-out handler that still runs is like an orphan: a retry would run beside it, so on_orphan
    // decides.
    const bool runs_beside = !input.handler_stopped.value_or(true) && input.dead_letter_on_orphan;
    return may_retry && !runs_beside ? StepEvent::await_retry : StepEvent::fail;
}

}  // namespace tasker::core
