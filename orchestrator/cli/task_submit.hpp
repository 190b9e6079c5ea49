// tasker task submit: from arguments and files to task requests, and what comes back.
#pragma once

#include <CLI/CLI.hpp>

#include "orchestrator/cli/context.hpp"

namespace tasker::cli {

/// Adds `submit` to the `task` group.
void add_task_submit(CLI::App& group, Context& context);

}  // namespace tasker::cli
