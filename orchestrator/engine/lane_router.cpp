#include "orchestrator/engine/lane_router.hpp"

#include <string>

namespace tasker::engine {
namespace {

const std::string& batch_of(const ports::Report& report) {
    return std::visit([](const auto& message) -> const std::string& { return message.batch_id; },
                      report.message);
}

}  // namespace

int LaneRouter::lane_for(const ports::Inbound& item) const {
    return std::visit(
        [this](const auto& it) {
            if constexpr (requires { it.batch_uuid; }) {
                return lane_of(it.batch_uuid);
            } else if constexpr (requires { batch_of(it); }) {
                return lane_of(batch_of(it));
            } else if constexpr (requires { it.bytes; }) {
                return 0;
            } else if constexpr (requires { it.shard; }) {
                return it.shard ? *it.shard % lanes() : kAllLanes;
            } else {
                return kAllLanes;
            }
        },
        item);
}

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
