// The two times this system knows. Leases and timers count on the boot-time clock, which runs during suspend
// and is not moved by anybody; wall time is for display only.
#pragma once

#include <chrono>
#include <string>

namespace tasker::ports {

class Clock {
  public:
    virtual ~Clock() = default;
    virtual std::chrono::milliseconds boot_time() const = 0;
    virtual std::string wall_time_rfc3339() const = 0;
};

}  // namespace tasker::ports
