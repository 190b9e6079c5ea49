// The state machines of tasks, steps and batches. In SQL the functions tasker_is_legal_task_transition(),
// …_step_transition() and …_batch_transition() hold the same tables; a test compares them cell by cell.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "orchestrator/core/state_machine.hpp"

namespace tasker::core {

enum class TaskState { pending, in_progress, complete, error, cancelled, resolved_manually };
enum class TaskEvent { start, complete, fail, cancel, resolve_manually, reopen };

template <>
struct Machine<TaskState> {
    using S = TaskState;
    using E = TaskEvent;
    using Event = TaskEvent;

    static constexpr auto kStates = std::to_array<Word<S>>({
        {S::pending, "pending"},
        {S::in_progress, "in_progress"},
        {S::complete, "complete"},
        {S::error, "error"},
        {S::cancelled, "cancelled"},
        {S::resolved_manually, "resolved_manually"},
    });
    static constexpr auto kEvents = std::to_array<Word<E>>({
        {E::start, "start"},
        {E::complete, "complete"},
        {E::fail, "fail"},
        {E::cancel, "cancel"},
        {E::resolve_manually, "resolve_manually"},
        {E::reopen, "reopen"},  // an operator retries one of its steps
    });
    static constexpr auto kTransitions = std::to_array<Transition<S, E>>({
        {S::pending, E::start, S::in_progress},
        {S::pending, E::cancel, S::cancelled},
        {S::pending, E::fail, S::error},
        {S::pending, E::resolve_manually, S::resolved_manually},
        {S::in_progress, E::complete, S::complete},
        {S::in_progress, E::fail, S::error},
        {S::in_progress, E::cancel, S::cancelled},
        {S::in_progress, E::resolve_manually, S::resolved_manually},
        {S::error, E::cancel, S::cancelled},
        {S::error, E::resolve_manually, S::resolved_manually},
        {S::error, E::reopen, S::in_progress},
    });
    static constexpr FirstTransition<S> kFirst{"create", S::pending};
};

enum class StepState {
    pending,
    in_progress,
    waiting_for_retry,
    complete,
    error,
    cancelled,
    resolved_manually
};
enum class StepEvent {
    claim,              // taken for publishing; attempts + 1
    complete,           // reported completed
    await_retry,        // reported failed, another attempt is allowed
    fail,               // reported error, not retryable, or at the limit
    hand_back,          // proven unstarted
    request_too_large,  // its request cannot be sent
    give_up,            // workers hand it back again and again
    retry,              // operator
    resolve_manually,   // operator, may supply results
    cancel
};

template <>
struct Machine<StepState> {
    using S = StepState;
    using E = StepEvent;
    using Event = StepEvent;

    static constexpr auto kStates = std::to_array<Word<S>>({
        {S::pending, "pending"},
        {S::in_progress, "in_progress"},
        {S::waiting_for_retry, "waiting_for_retry"},
        {S::complete, "complete"},
        {S::error, "error"},
        {S::cancelled, "cancelled"},
        {S::resolved_manually, "resolved_manually"},
    });
    static constexpr auto kEvents = std::to_array<Word<E>>({
        {E::claim, "claim"},
        {E::complete, "complete"},
        {E::await_retry, "await_retry"},
        {E::fail, "fail"},
        {E::hand_back, "hand_back"},
        {E::request_too_large, "request_too_large"},
        {E::give_up, "give_up"},
        {E::retry, "retry"},
        {E::resolve_manually, "resolve_manually"},
        {E::cancel, "cancel"},
    });
    static constexpr auto kTransitions = std::to_array<Transition<S, E>>({
        {S::pending, E::claim, S::in_progress},
        {S::pending, E::request_too_large, S::error},
        {S::pending, E::give_up, S::error},
        {S::pending, E::cancel, S::cancelled},
        {S::in_progress, E::complete, S::complete},
        {S::in_progress, E::await_retry, S::waiting_for_retry},
        {S::in_progress, E::fail, S::error},
        {S::in_progress, E::hand_back, S::pending},
        {S::in_progress, E::cancel, S::cancelled},
        {S::waiting_for_retry, E::claim, S::in_progress},
        // A late success of the current attempt is better than another attempt.
        {S::waiting_for_retry, E::complete, S::complete},
        {S::waiting_for_retry, E::cancel, S::cancelled},
        {S::error, E::retry, S::pending},
        {S::error, E::resolve_manually, S::resolved_manually},
    });
    static constexpr FirstTransition<S> kFirst{"create", S::pending};
};

enum class BatchState {
    created,
    published,
    executing,
    completed,
    partially_failed,
    failed,
    timed_out,
    cancelled
};
enum class BatchEvent {
    publish,
    start,
    finish_completed,
    finish_partially_failed,
    finish_failed,
    time_out,
    cancel
};

template <>
struct Machine<BatchState> {
    using S = BatchState;
    using E = BatchEvent;
    using Event = BatchEvent;

    static constexpr auto kStates = std::to_array<Word<S>>({
        {S::created, "created"},
        {S::published, "published"},
        {S::executing, "executing"},
        {S::completed, "completed"},
        {S::partially_failed, "partially_failed"},
        {S::failed, "failed"},
        {S::timed_out, "timed_out"},
        {S::cancelled, "cancelled"},
    });
    // A batch's history has one word for the three ways to finish: its state says which one it was.
    static constexpr auto kEvents = std::to_array<Word<E>>({
        {E::publish, "publish"},
        {E::start, "start"},
        {E::finish_completed, "finish"},
        {E::finish_partially_failed, "finish"},
        {E::finish_failed, "finish"},
        {E::time_out, "time_out"},
        {E::cancel, "cancel"},
    });
    static constexpr auto kTransitions = std::to_array<Transition<S, E>>({
        {S::created, E::publish, S::published},
        {S::created, E::cancel, S::cancelled},
        {S::published, E::start, S::executing},
        {S::published, E::time_out, S::timed_out},
        // All its steps were handed back before a sign of life: none is left to report.
        {S::published, E::cancel, S::cancelled},
        {S::executing, E::finish_completed, S::completed},
        {S::executing, E::finish_partially_failed, S::partially_failed},
        {S::executing, E::finish_failed, S::failed},
        {S::executing, E::time_out, S::timed_out},
        {S::executing, E::cancel, S::cancelled},
    });
    static constexpr FirstTransition<S> kFirst{"claim", S::created};
};

/// Terminal for the automatic flow: only an operator moves a task on, and nothing moves a batch.
bool is_terminal(TaskState state);
bool is_terminal(BatchState state);

/// The words of the tables above. `parse_*` return nothing for an unknown word.
std::string_view to_text(TaskState state);
std::string_view to_text(TaskEvent event);
std::string_view to_text(StepState state);
std::string_view to_text(StepEvent event);
std::string_view to_text(BatchState state);
std::string_view to_text(BatchEvent event);
std::optional<TaskState> parse_task_state(std::string_view text);
std::optional<BatchState> parse_batch_state(std::string_view text);

}  // namespace tasker::core
