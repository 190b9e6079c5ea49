#pragma once

#include <CLI/CLI.hpp>

#include "orchestrator/cli/context.hpp"

namespace tasker::cli {

/// Adds `retention` to the `db` group.
void add_retention_command(CLI::App& db_group, Context& context);

}  // namespace tasker::cli
