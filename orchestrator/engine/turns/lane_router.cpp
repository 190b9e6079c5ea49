#include "orchestrator/engine/turns/lane_router.hpp"

namespace tasker::engine {

void LaneRouter::push_event(ports::Inbound event) {
    const int lane = lane_for(event);
    if (lane != kAllLanes) {
        mailbox(lane).push_event(std::move(event));
        return;
    }
    for (std::size_t i = 1; i < mailboxes_.size(); ++i) mailboxes_[i]->push_event(event);
    mailboxes_.front()->push_event(std::move(event));
}

}  // namespace tasker::engine
