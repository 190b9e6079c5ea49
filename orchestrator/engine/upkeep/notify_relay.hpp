// The thread that receives NOTIFY tasker_wake and passes it on to the lanes. It only informs: what it loses,
// the lanes' periodic scan finds again.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "orchestrator/engine/turns/lane_router.hpp"
#include "orchestrator/ports/housekeeping.hpp"

namespace tasker::engine {

/// Passes notifications on until `stopping`; `stop_fd` becomes readable then. It reconnects by itself, and
/// asks for a full scan after each connection, since notifications of the meantime are lost.
class NotifyRelay {
  public:
    using Open = std::function<std::unique_ptr<ports::WakeSource>()>;
    NotifyRelay(Open open, LaneRouter& lanes, const std::atomic<bool>& stopping, int stop_fd)
        : open_(std::move(open)), lanes_(lanes), stopping_(stopping), stop_fd_(stop_fd) {}
    void run();

  private:
    Open open_;
    LaneRouter& lanes_;
    const std::atomic<bool>& stopping_;
    int stop_fd_;
};

}  // namespace tasker::engine
