#include "orchestrator/engine/turns/own_work.hpp"

namespace tasker::engine {

std::chrono::milliseconds OwnWork::next() const {
    return is_empty() ? std::chrono::milliseconds::max() : not_before_;
}

void OwnWork::put_into(TurnDraft& draft) const {
    for (std::size_t i = 0; i < tried(); ++i) {
        if (const auto* step = std::get_if<UnsentStep>(&items_[i])) {
            draft.hand_back(step->batch_uuid, step->step_id, step->reason, step->cause);
        } else if (const auto* grace = std::get_if<GraceOver>(&items_[i])) {
            draft.end_grace(grace->batch_uuid);
        } else if (const auto* timed = std::get_if<TimedStep>(&items_[i])) {
            draft.time_out(timed->batch_uuid, timed->step_id);
        } else {
            draft.lose_session({std::get<GoneSession>(items_[i]).session, "", "gone", 0, false});
        }
    }
}

void OwnWork::forget() {
    items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(tried()));
    if (at_once_ != kAllAtOnce) at_once_ = items_.size() <= 2 * at_once_ ? kAllAtOnce : 2 * at_once_;
}

void OwnWork::forget_batches() {
    std::erase_if(items_, [](const Item& item) { return !std::holds_alternative<GoneSession>(item); });
    at_once_ = kAllAtOnce;
}

void OwnWork::set_aside(std::chrono::milliseconds now) {
    if (tried() > 1) {
        at_once_ = tried() / 2;
        return;
    }
    if (items_.size() > 1) std::rotate(items_.begin(), items_.begin() + 1, items_.end());
    postpone(now);
}

}  // namespace tasker::engine
