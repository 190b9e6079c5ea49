// What all commands of operators share: who asks and why, and how the answer is told.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "orchestrator/cli/context.hpp"
#include "orchestrator/store/operators.hpp"

namespace tasker::cli {

/// Adds --reason and --actor. The actor is the user of this process unless given.
std::shared_ptr<store::OperatorNote> add_note_options(CLI::App* command);

/// Prints what was done, or why not, with what to do then; --json prints the row of the operation in any case
/// but not_found. Returns ok when done or so already, failed when refused. Throws CommandError (not_found).
ExitCode report_operation(const Context& context, const store::Operation& operation);

/// The text that ends the help of each such command.
extern const char* const kOperationExitCodes;

}  // namespace tasker::cli
