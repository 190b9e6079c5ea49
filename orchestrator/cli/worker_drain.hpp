// tasker worker drain
#pragma once

#include <CLI/CLI.hpp>

#include "orchestrator/cli/context.hpp"

namespace tasker::cli {

/// Adds `drain` to the `worker` group.
void add_worker_drain(CLI::App& group, Context& context);

}  // namespace tasker::cli
