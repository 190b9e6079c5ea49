// Shared by all commands of operators: who asks and why, and how the answer is printed.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "orchestrator/api/operate.hpp"
#include "orchestrator/cli/context.hpp"

namespace tasker::cli {

/// Adds --reason and --actor. The actor is the user of this process unless given.
std::shared_ptr<api::OperatorNote> add_note_options(CLI::App* command);

/// The ids that a command is given: one, several, or with `-` also those on standard input, one a line or with other
/// white space between.
struct Ids {
    std::vector<std::string> words;

    /// Throws CommandError (usage) for what is no id, and when there are none.
    std::vector<std::int64_t> read() const;
    /// Whether the answer is one operation, and no list.
    bool single() const { return words.size() == 1 && words.front() != "-"; }
};
std::shared_ptr<Ids> add_ids(CLI::App* command, const std::string& description);
/// Adds --dry-run to the note's options.
void add_dry_run(CLI::App* command, const std::shared_ptr<api::OperatorNote>& note);

using Operate = api::Operation (*)(postgres::Connection&, std::int64_t, const api::OperatorNote&);
/// Carries out the operation for each id, in this order, each in a transaction of its own, and reports each. One that
/// is refused or does not exist keeps none of the others from being done. The code is that of the first of them.
ExitCode operate_on(const Context& context, const Ids& ids, const api::OperatorNote& note, Operate operate);

/// Prints what was done, or why not, with what to do then; --json prints the row of the operation in any case
/// but not_found. Returns ok when done or so already, failed when refused. Throws CommandError (not_found).
ExitCode report_operation(const Context& context, const api::Operation& operation);

/// The text that ends the help of each such command.
extern const char* const kOperationExitCodes;
/// The text after it for commands of several ids.
extern const char* const kSeveralIds;

}  // namespace tasker::cli
