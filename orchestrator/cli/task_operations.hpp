// tasker task cancel|retry
#pragma once

#include <CLI/CLI.hpp>

#include "orchestrator/cli/context.hpp"

namespace tasker::cli {

/// Adds `cancel` and `retry` to the `task` group.
void add_task_operations(CLI::App& group, Context& context);

}  // namespace tasker::cli
