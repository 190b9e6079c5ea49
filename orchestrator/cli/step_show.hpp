// tasker step show
#pragma once

#include <CLI/CLI.hpp>

#include "orchestrator/cli/context.hpp"

namespace tasker::cli {

/// Adds `show` to the `step` group.
void add_step_show(CLI::App& group, Context& context);

}  // namespace tasker::cli
