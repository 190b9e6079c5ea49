// The real clock behind the port.
#pragma once

#include "orchestrator/ports/clock.hpp"
#include "orchestrator/util/time.hpp"

namespace tasker {

class BootClock final : public ports::Clock {
  public:
    std::chrono::milliseconds boot_time() const override { return util::boot_time(); }
    std::string wall_time_rfc3339() const override { return util::rfc3339_utc_now(); }
};

}  // namespace tasker
