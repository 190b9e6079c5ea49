// tasker worker rejected
#pragma once

#include <CLI/CLI.hpp>

#include "orchestrator/cli/context.hpp"

namespace tasker::cli {

/// Adds `rejected` to the `worker` group.
void add_worker_rejected(CLI::App& group, Context& context);

}  // namespace tasker::cli
