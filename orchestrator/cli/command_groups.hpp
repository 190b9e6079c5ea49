// Every command group of `tasker`. To add one: write <group>_commands.cpp with one function of this shape,
// declare it here and call it in command_groups.cpp. `tasker --help` shows the groups in the order of the
// calls.
#pragma once

#include <CLI/CLI.hpp>

#include "orchestrator/cli/context.hpp"

namespace tasker::cli {

void add_dev_commands(CLI::App& app, Context& context);
void add_migrate_commands(CLI::App& app, Context& context);
void add_template_commands(CLI::App& app, Context& context);
void add_task_commands(CLI::App& app, Context& context);
void add_step_commands(CLI::App& app, Context& context);
void add_dlq_commands(CLI::App& app, Context& context);
void add_batch_commands(CLI::App& app, Context& context);
void add_worker_commands(CLI::App& app, Context& context);
void add_health_commands(CLI::App& app, Context& context);
void add_attention_commands(CLI::App& app, Context& context);
void add_db_commands(CLI::App& app, Context& context);
void add_manual_commands(CLI::App& app, Context& context);

/// Builds the whole command line: global options, help texts, groups.
void build_command_line(CLI::App& app, Context& context);

}  // namespace tasker::cli
