#include "orchestrator/core/states.hpp"

namespace tasker::core {

static_assert(is_in_order(Machine<TaskState>::kStates) && is_in_order(Machine<TaskState>::kEvents));
static_assert(is_in_order(Machine<StepState>::kStates) && is_in_order(Machine<StepState>::kEvents));
static_assert(is_in_order(Machine<BatchState>::kStates) && is_in_order(Machine<BatchState>::kEvents));

bool is_terminal(TaskState state) {
    return state != TaskState::pending && state != TaskState::in_progress;
}
bool is_terminal(BatchState state) {
    return state != BatchState::created && state != BatchState::published && state != BatchState::executing;
}

std::string_view to_text(TaskState state) {
    return text_in(Machine<TaskState>::kStates, state);
}
std::string_view to_text(TaskEvent event) {
    return text_in(Machine<TaskState>::kEvents, event);
}
std::string_view to_text(StepState state) {
    return text_in(Machine<StepState>::kStates, state);
}
std::string_view to_text(StepEvent event) {
    return text_in(Machine<StepState>::kEvents, event);
}
std::string_view to_text(BatchState state) {
    return text_in(Machine<BatchState>::kStates, state);
}
std::string_view to_text(BatchEvent event) {
    return text_in(Machine<BatchState>::kEvents, event);
}
std::optional<TaskState> parse_task_state(std::string_view text) {
    return find_word(Machine<TaskState>::kStates, text);
}
std::optional<BatchState> parse_batch_state(std::string_view text) {
    return find_word(Machine<BatchState>::kStates, text);
}

}  // namespace tasker::core
