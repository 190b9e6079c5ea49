// What the threads beside the listener ask of the database. Each port owns a connection of its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "orchestrator/core/sessions/view.hpp"
#include "orchestrator/ports/delivery.hpp"

namespace tasker::ports {

/// The connection that only listens. Throws DatabaseError when it is lost.
class WakeSource {
  public:
    virtual ~WakeSource() = default;
    /// Waits until something was notified, `stop_fd` is readable, or `timeout_ms` is over; returns what came.
    virtual std::vector<Wake> wait(int stop_fd, int timeout_ms) = 0;
};

/// The caretaker's connection. Throws DatabaseError when it is lost, EpochLost when another orchestrator
/// rules.
class Housekeeping {
  public:
    virtual ~Housekeeping() = default;
    /// Says that this orchestrator is alive (tasker_orchestrators.last_seen_at).
    virtual void beat() = 0;
    virtual void set_state(const std::string& state, const std::string& endpoints_json) = 0;
    /// Writes these rows of the worker list; sessions that are not `known` any more are `gone`.
    virtual void write_workers(const std::vector<core::SessionView>& rows,
                               const std::vector<std::string>& known) = 0;
    /// NOTIFY tasker_done for each task, outside of any turn.
    virtual void notify_done(const std::vector<std::int64_t>& task_ids) = 0;
};

}  // namespace tasker::ports
