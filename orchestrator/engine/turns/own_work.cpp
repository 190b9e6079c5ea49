#include "orchestrator/engine/turns/own_work.hpp"

namespace tasker::engine {

std::chrono::milliseconds OwnWork::next() const {
    return is_empty() ? std::chrono::milliseconds::max() : not_before_;
}

void OwnWork::put_into(TurnDraft& draft) const {
    for (const auto& step : unsent_) draft.hand_back(step.batch_uuid, step.step_id, step.reason, step.cause);
    for (const auto& uuid : graces_over_) draft.end_grace(uuid);
    for (const auto& step : time_outs_) draft.time_out(step.batch_uuid, step.step_id);
    for (const auto& session : gone_sessions_) draft.lose_session({session, "", "gone", 0, false});
}

void OwnWork::forget() {
    forget_batches();
    gone_sessions_.clear();
}

void OwnWork::forget_batches() {
    unsent_.clear();
    graces_over_.clear();
    time_outs_.clear();
}

}  // namespace tasker::engine
