// The state machines of tasks, steps and batches (system.md §4) as data: every legal (state, event) pair is
// one row of a table, everything else is illegal. The SQL guards say the same; tests compare them cell by
// cell.
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace tasker::core {

enum class TaskState { pending, in_progress, complete, error, cancelled, resolved_manually };
enum class TaskEvent { start, complete, fail, cancel, resolve_manually, reopen };

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
    retry,              // operator
    resolve_manually,   // operator, may supply results
    cancel
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

template <typename State, typename Event>
struct Transition {
    State from;
    Event event;
    State to;
};

/// The state reached by `event` in `from`, or nothing when that is illegal. Never throws.
std::optional<TaskState> next_state(TaskState from, TaskEvent event);
std::optional<StepState> next_state(StepState from, StepEvent event);
std::optional<BatchState> next_state(BatchState from, BatchEvent event);

/// Terminal for the automatic flow: only an operator moves it on (a batch never moves again).
bool is_terminal(TaskState state);
bool is_terminal(StepState state);
bool is_terminal(BatchState state);

/// A child may run when each parent is in such a state.
bool satisfies_dependents(StepState state);

/// One spelling in C++, SQL, JSON and logs. `parse_*` return nothing for an unknown word.
std::string_view to_text(TaskState state);
std::string_view to_text(StepState state);
std::string_view to_text(BatchState state);
std::string_view to_text(StepEvent event);
std::optional<TaskState> parse_task_state(std::string_view text);
std::optional<StepState> parse_step_state(std::string_view text);
std::optional<BatchState> parse_batch_state(std::string_view text);

/// What a worker says about a finished step.
enum class ReportStatus { completed, failed, error };

/// The facts a verdict on a first report of the current attempt depends on (system.md §2).
struct VerdictInput {
    ReportStatus status = ReportStatus::completed;
    std::optional<bool> report_retryable;  // error.retryable; absent means retryable
    std::optional<bool> handler_stopped;   // false: timed out and still running
    bool step_retryable = true;
    bool dead_letter_on_orphan = false;
    int counted_attempts = 1;  // attempts − unstarted_attempts
    int retry_limit = 3;       // total attempts, the first included
};

/// The one mapping from worker reports to step events; tasker_step_verdict() in SQL is its twin.
StepEvent verdict(const VerdictInput& input);

}  // namespace tasker::core
