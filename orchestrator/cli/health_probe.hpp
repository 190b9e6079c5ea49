// Asks a running orchestrator how it is, over its command endpoint.
#pragma once

#include <chrono>
#include <string>
#include <tl/expected.hpp>

#include "orchestrator/cli/context.hpp"

namespace tasker::cli {

/// Sends health_check to `endpoint` (as tasker_orchestrators names it: what was bound) and returns its
/// answer, or a sentence about why there is none within `limit`.
tl::expected<Json, std::string> ask_health(const std::string& endpoint, std::chrono::milliseconds limit);

}  // namespace tasker::cli
