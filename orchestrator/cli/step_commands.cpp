// tasker step retry|resolve|cancel, and the group
#include <fmt/format.h>

#include <memory>

#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/json_argument.hpp"
#include "orchestrator/cli/operations.hpp"
#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/cli/step_show.hpp"

namespace tasker::cli {
namespace {

constexpr const char* kIdMeaning = "its id, as `tasker task show` prints it";

struct ResolveOptions {
    std::int64_t id = 0;
    std::optional<std::string> results;
    bool no_results = false;
};

// Null is a choice: nobody makes it by leaving an option out.
void require_results(const ResolveOptions& options) {
    if (options.results.has_value() != options.no_results) return;
    throw CommandError(ExitCode::usage,
                       options.no_results ? "--results and --no-results exclude each other"
                                          : "what do the steps that depend on it get? No results are given",
                       "give them: --results '{\"paid\": true}', --results '{}' for an empty object, or "
                       "--no-results for null");
}

ExitCode report_resolve(const Context& context, const ResolveOptions& options, const api::OperatorNote& note,
                        const api::Operation& operation) {
    const ExitCode code = report_operation(context, operation);
    if (!note.dry_run) return code;
    const std::string results = options.results.value_or("null");
    if (operation.outcome == api::OperationOutcome::done) {
        context.remark("what depends on it would get " +
                       (results == "@late" ? "the late result" : shortened(results, 400)));
    }
    context.remark("nothing was changed: --dry-run");
    return code;
}

ExitCode resolve(const Context& context, const ResolveOptions& options, const api::OperatorNote& note) {
    require_results(options);
    if (options.results == "@late") {
        auto connection = context.connect_checked();
        return report_resolve(context, options, note,
                              api::resolve_step_with_late_result(connection, options.id, note));
    }
    ResolveOptions given = options;
    if (given.results) {
        given.results = read_json_argument(*given.results, "--results");
        // The text goes to the database as it is: it keeps every digit there.
        parse_json_argument(*given.results, "--results",
                            "quote it for the shell: --results '{\"payment_id\": \"p-17\"}'");
    }
    auto connection = context.connect_checked();
    try {
        return report_resolve(context, given, note,
                              api::resolve_step(connection, given.id, given.results, note));
    } catch (const postgres::DatabaseError& error) {
        // JSON that jsonb cannot hold: \u0000, half a surrogate pair, numbers beyond numeric. Or no request.
        if (error.sqlstate() != "22P02" && error.sqlstate() != "22P05" && error.sqlstate() != "22003" &&
            error.sqlstate() != "22023")
            throw;
        throw CommandError(ExitCode::usage,
                           fmt::format("--results: the database cannot hold this: {}", error.what()));
    }
}

void add_retry(CLI::App* group, Context& context) {
    CLI::App* command = group->add_subcommand("retry", "give a step in error another go");
    const auto ids = add_ids(command, kIdMeaning);
    const auto note = add_note_options(command);
    add_dry_run(command, note);
    command->footer(
        std::string(
            "The step becomes ready again with as many further attempts as its template gives, and its\n"
            "task goes on. Its dead letter, if it has one, is closed as replayed. What depends on the\n"
            "step has waited and runs when it completes.\n\n") +
        kOperationExitCodes + kSeveralIds + "\nExample:\n  tasker step retry 42 --reason 'the bank is back'");
    context.on_run(command,
                   [&context, ids, note] { return operate_on(context, *ids, *note, api::retry_step); });
}

void add_resolve(CLI::App* group, Context& context) {
    CLI::App* command =
        group->add_subcommand("resolve", "declare a step in error done, with results of your own");
    auto options = std::make_shared<ResolveOptions>();
    command->add_option("step", options->id, kIdMeaning)->required()->type_name("STEP_ID");
    command
        ->add_option("--results", options->results,
                     "what the steps that depend on it get; @late: the output its last attempt reported too "
                     "late (another file of that name: @./late)")
        ->type_name("JSON|@FILE|-|@late");
    command->add_flag("--no-results", options->no_results, "the steps that depend on it get null");
    const auto note = add_note_options(command);
    add_dry_run(command, note);
    command->footer(
        std::string(
            "For work that was done by hand, or that a late success proves done. The step becomes\n"
            "resolved_manually, its children run with these results, its dead letter is closed as\n"
            "resolved. `tasker dlq show` tells whether a late success is known. One of --results and\n"
            "--no-results is needed.\n\n") +
        kOperationExitCodes +
        "\nExamples:\n"
        "  tasker step resolve 42 --results '{\"payment_id\": \"p-17\"}' \\\n"
        "    --reason 'paid by hand'\n"
        "  tasker step resolve 42 --results @payment.json\n"
        "  tasker step resolve 42 --results @late");
    context.on_run(command, [&context, options, note] { return resolve(context, *options, *note); });
}

void add_cancel(CLI::App* group, Context& context) {
    CLI::App* command = group->add_subcommand("cancel", "cancel a step and all that depend on it");
    const auto ids = add_ids(command, kIdMeaning);
    const auto note = add_note_options(command);
    add_dry_run(command, note);
    command->footer(
        std::string(
            "For steps that have not ended. A worker that runs it is told; a result that still comes is\n"
            "recorded and changes nothing. Cancelled steps stay so. Other branches of the task go on; it\n"
            "ends as cancelled (or error) when nothing else can move.\n\n") +
        kOperationExitCodes + kSeveralIds +
        "\nExample:\n  tasker step cancel 43 --reason 'not needed any more'");
    context.on_run(command,
                   [&context, ids, note] { return operate_on(context, *ids, *note, api::cancel_step); });
}

}  // namespace

void add_step_commands(CLI::App& app, Context& context) {
    CLI::App* group = app.add_subcommand("step", "show, retry, resolve or cancel steps of a task");
    group->require_subcommand(1);
    group->footer(
        "A step in error waits for a person: retry it, or resolve it. `tasker task show ID` lists the steps "
        "of\n"
        "a task; `tasker dlq list` those that ran out of attempts or lost their workers.\n"
        "\n"
        "Examples:\n"
        "  tasker step show 42\n"
        "  tasker step retry 42 --reason 'the bank is back'\n"
        "  tasker step resolve 42 --results '{\"payment_id\": \"p-17\"}'\n"
        "  tasker step cancel 43");
    add_step_show(*group, context);
    add_retry(group, context);
    add_resolve(group, context);
    add_cancel(group, context);
}

}  // namespace tasker::cli
