// The log.* settings, applied to the process.
#pragma once

#include "orchestrator/options/options.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker {

/// Call once at start, before other threads log.
inline void configure_log(const options::Log& log) {
    // The enumerations have the same members in the same order.
    util::log::configure(static_cast<util::log::Level>(log.level),
                         static_cast<util::log::Format>(log.format));
}

}  // namespace tasker
