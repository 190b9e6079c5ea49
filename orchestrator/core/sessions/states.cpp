#include "orchestrator/core/sessions/states.hpp"

namespace tasker::core {

static_assert(is_in_order(Machine<SessionState>::kStates) && is_in_order(Machine<SessionState>::kEvents));

std::string_view to_text(SessionState state) {
    return text_in(Machine<SessionState>::kStates, state);
}
std::string_view to_text(SessionEvent event) {
    return text_in(Machine<SessionState>::kEvents, event);
}

}  // namespace tasker::core
