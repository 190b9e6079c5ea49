// tasker task show
#pragma once

#include <CLI/CLI.hpp>

#include "orchestrator/cli/context.hpp"

namespace tasker::cli {

/// Adds `show` to the `task` group.
void add_task_show(CLI::App& group, Context& context);

}  // namespace tasker::cli
