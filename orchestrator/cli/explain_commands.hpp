// tasker task explain
#pragma once

#include <CLI/CLI.hpp>

#include "orchestrator/cli/context.hpp"

namespace tasker::cli {

/// Adds `explain` to the `task` group.
void add_task_explain(CLI::App& group, Context& context);

}  // namespace tasker::cli
