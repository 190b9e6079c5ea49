// tasker init
#pragma once

#include <CLI/CLI.hpp>

#include "orchestrator/cli/context.hpp"

namespace tasker::cli {

void add_init_commands(CLI::App& app, Context& context);

}  // namespace tasker::cli
