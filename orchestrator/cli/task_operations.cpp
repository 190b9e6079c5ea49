#include "orchestrator/cli/task_operations.hpp"

#include <memory>

#include "orchestrator/cli/operations.hpp"

namespace tasker::cli {
namespace {

void add_operation(CLI::App& group, Context& context, const char* name, const char* description,
                   const std::string& footer, Operate operate) {
    CLI::App* command = group.add_subcommand(name, description);
    const auto ids = add_ids(command, "the task");
    const auto note = add_note_options(command);
    add_dry_run(command, note);
    command->footer(footer);
    context.on_run(command,
                   [&context, ids, note, operate] { return operate_on(context, *ids, *note, operate); });
}

}  // namespace

void add_task_operations(CLI::App& group, Context& context) {
    add_operation(
        group, context, "cancel", "cancel a task: no step of it starts any more",
        std::string(
            "Every step that has not ended becomes cancelled, and so does the task, for good. Workers that\n"
            "run a step of it are told; results that still come are recorded and change nothing. A task\n"
            "that is complete cannot be cancelled.\n\n") +
            kOperationExitCodes + kSeveralIds +
            "\nExamples:\n  tasker task cancel 17 --reason 'the customer withdrew'\n"
            "  tasker task cancel 17 18 19 --dry-run",
        api::cancel_task);
    add_operation(
        group, context, "retry", "give every step in error of a task another go",
        std::string(
            "Each becomes ready again with as many further attempts as its template gives; a task in error\n"
            "goes on. A cancelled task stays cancelled.\n\n") +
            kOperationExitCodes + kSeveralIds +
            "\nExamples:\n  tasker task retry 17 --reason 'the bank is back'\n"
            "  tasker task list --state error --json | jq '.[].task_id' |\n"
            "    tasker task retry -",
        api::retry_task);
}

}  // namespace tasker::cli
