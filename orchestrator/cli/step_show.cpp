#include "orchestrator/cli/step_show.hpp"

#include <fmt/format.h>

#include <memory>

#include "orchestrator/api/query.hpp"
#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/cli/show/attempts.hpp"

namespace tasker::cli {
namespace {

std::string names_text(const Json& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ", ") + cell_text(name);
    return text;
}

void print_facts(const Context& context, const Json& step) {
    const auto fact = [&](const char* title, const std::string& text) {
        if (text.empty()) return;
        context.print(styled(fmt::format("  {:<12}", title), Style::dim, context.color()) + printable(text));
    };
    const Cell state = state_cell(step["state"]);
    context.print(fmt::format("step {}  {}  {}", cell_text(step["workflow_step_id"]),
                              printable(cell_text(step["name"])),
                              styled(state.text, state.style, context.color())));
    fact("task", fmt::format("{} ({}/{}:{}), {}", cell_text(step["task_id"]), cell_text(step["namespace"]),
                             cell_text(step["task_name"]), cell_text(step["version"]),
                             cell_text(step["task_state"])));
    fact("handler", cell_text(step["handler_class"]));
    fact("depends on", names_text(step["depends_on"]));
    fact("results of", names_text(step["results_from"]));
    // Attempts that no worker has started do not count.
    fact("attempts",
         fmt::format("{} of {}{}",
                     step["attempts"].get<std::int64_t>() - step["unstarted_attempts"].get<std::int64_t>(),
                     cell_text(step["retry_limit"]),
                     step["retryable"].get<bool>() ? "" : ", must not be repeated"));
    if (step["snoozes"] != 0) {
        fact("snoozes", fmt::format("{} of {} times its handler asked to wait", cell_text(step["snoozes"]),
                                    cell_text(step["max_snoozes"])));
    }
    const bool waits = step["state"] == "waiting_for_retry" || step["state"] == "pending";
    fact("next attempt", waits ? cell_time(step["next_attempt_at"]) : "");
    const bool failed = step["state"] == "error" || step["state"] == "waiting_for_retry";
    fact("error", failed ? error_text(step["error"]) : "");
    fact("results", step["results"].is_null() ? "" : shortened(cell_text(step["results"]), 400));
    if (step["dead_letter_id"].is_null()) return;
    fact("dead letter", fmt::format("{0}: `tasker dlq show {0}`", cell_text(step["dead_letter_id"])));
}

ExitCode show(const Context& context, std::int64_t id) {
    auto connection = context.connect_checked();
    const auto answer = api::step_json(connection, id);
    if (!answer) {
        throw CommandError(ExitCode::not_found, fmt::format("there is no step {}", id),
                           "`tasker task show TASK_ID` lists the steps of a task with their ids");
    }
    if (context.json) {
        print_answer(context, *answer);
        return ExitCode::ok;
    }
    const Json step = parse_answer(*answer);
    print_facts(context, step);
    print_attempts(context, step["attempt_history"], "attempts");
    return ExitCode::ok;
}

}  // namespace

void add_step_show(CLI::App& group, Context& context) {
    CLI::App* command = group.add_subcommand("show", "show one step with all its attempts");
    auto id = std::make_shared<std::int64_t>();
    command->add_option("step", *id, "its id, as `tasker task show` prints it")
        ->required()
        ->type_name("STEP_ID");
    command->footer(
        "Each attempt is shown with its worker, start, duration, end, and the pause before the next one.\n"
        "An attempt that was handed back did not start, or its handler asked to wait (snoozed). It does not count.\n"
        "--json prints all columns of the step with attempt_history[]: attempt, batch_id, batch_uuid,\n"
        "worker_id, session, sent_at, started_at, ended_at, duration_ms, status, reason, error and\n"
        "pause_seconds.\n"
        "\n"
        "Examples:\n  tasker step show 42\n  tasker step show 42 --json\n"
        "  tasker task show 17 --error pay   the backtrace of its error");
    context.on_run(command, [&context, id] { return show(context, *id); });
}

}  // namespace tasker::cli
