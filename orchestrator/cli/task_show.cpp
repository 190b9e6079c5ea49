#include "orchestrator/cli/task_show.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "orchestrator/api/query.hpp"
#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/cli/show/attempts.hpp"

namespace tasker::cli {
namespace {

// Of so many steps the attempts are listed.
constexpr std::size_t kRepeatedMax = 10;

struct ShowOptions {
    std::int64_t id = 0;
    bool history = false;
    std::string error_of;
};

void print_facts(const Context& context, const Json& task) {
    const auto fact = [&](const char* title, const std::string& text) {
        if (!text.empty()) {
            context.print(styled(fmt::format("  {:<12}", title), Style::dim, context.color()) +
                          printable(text));
        }
    };
    const Json& execution = task["execution"];
    context.print(fmt::format(
        "task {}  {}/{}:{}  {}", cell_text(task["task_id"]), cell_text(task["namespace"]),
        cell_text(task["name"]), cell_text(task["version"]),
        styled(cell_text(task["state"]), style_of_state(cell_text(task["state"])), context.color())));
    fact("progress",
         fmt::format("{} of {} steps complete ({} %), {}", cell_text(execution["completed_steps"]),
                     cell_text(execution["total_steps"]), cell_text(execution["completion_percentage"]),
                     cell_text(execution["execution_status"])));
    fact("context", shortened(cell_text(task["context"]), 400));
    fact("priority", task["priority"] == 0 ? "" : cell_text(task["priority"]));
    fact("tags", task["tags"].empty() ? "" : cell_text(task["tags"]));
    fact("initiator", cell_text(task["initiator"]));
    fact("source", cell_text(task["source_system"]));
    fact("reason", cell_text(task["reason"]));
    fact("parent task", cell_text(task["parent_task_id"]));
    fact("not before", cell_time(task["not_before"]));
    fact("created", cell_time(task["created_at"]));
    fact("completed", cell_time(task["completed_at"]));
}

std::string outcome_of(const Json& step) {
    const bool done = step["state"] == "complete" || step["state"] == "resolved_manually";
    if (step["error"].is_object() && !done) {
        const auto message = step["error"].find("message");
        return "error: " + (message != step["error"].end() ? cell_text(*message) : cell_text(step["error"]));
    }
    if (!step["results"].is_null()) return cell_text(step["results"]);
    if (step["state"] == "pending" && step["snoozes"] != 0 && !step["next_attempt_at"].is_null()) {
        return "asked to wait until " + cell_time(step["next_attempt_at"]);
    }
    if (step["state"] == "waiting_for_retry") return "next attempt at " + cell_time(step["next_attempt_at"]);
    return "";
}

void print_history(const Context& context, const Json& task) {
    Table table({{"AT"}, {"WHAT"}, {"EVENT"}, {"FROM"}, {"TO"}, {"DETAILS"}});
    struct Entry {
        std::string place;
        std::string at;
        std::string what;
        const Json* transition;
    };
    std::vector<Entry> entries;
    // Within one history the order is that of sort_key, whatever the clock did: none comes before its predecessor.
    const auto add = [&entries](const std::string& what, const Json& transitions) {
        std::string place;
        for (const auto& transition : transitions) {
            const std::string at = cell_text(transition["created_at"]);
            place = std::max(place, at);
            entries.push_back({place, at, what, &transition});
        }
    };
    add("task", task["transitions"]);
    for (const auto& step : task["steps"]) add(cell_text(step["name"]), step["transitions"]);
    std::stable_sort(entries.begin(), entries.end(),
                     [](const Entry& a, const Entry& b) { return a.place < b.place; });
    for (const auto& entry : entries) {
        const Json& transition = *entry.transition;
        table.add({{entry.at, Style::dim},
                   entry.what,
                   cell_text(transition["event"]),
                   state_cell(transition["from_state"]),
                   state_cell(transition["to_state"]),
                   cell_of_list(context, cell_text(transition["metadata"]), 60)});
    }
    context.print("\nhistory");
    print_table(context, table, "");
}

void print_steps(const Context& context, const Json& task) {
    Table table({{"STEP", Align::right},
                 {"NAME"},
                 {"STATE"},
                 {"ATTEMPTS", Align::right},
                 {"DEPENDS ON"},
                 {"RESULTS OR ERROR"}});
    for (const auto& step : task["steps"]) {
        std::string parents;
        for (const auto& parent : step["depends_on"])
            parents += (parents.empty() ? "" : ", ") + cell_text(parent);
        // A step that must not be retried gets one attempt more each time an operator insists.
        const int counted = step["attempts"].get<int>() - step["unstarted_attempts"].get<int>();
        const int limit =
            step["retryable"].get<bool>() ? step["retry_limit"].get<int>() : std::max(1, counted);
        table.add({cell_text(step["workflow_step_id"]),
                   {cell_text(step["name"]), Style::bold},
                   state_cell(step["state"]),
                   fmt::format("{}/{}", counted, limit),
                   {cell_of_list(context, parents, 40), Style::dim},
                   shortened(outcome_of(step), 400)});
    }
    context.print("");
    print_table(context, table, "it has no steps");
}

/// The attempts of the steps that failed or were repeated.
void print_repeated(const Context& context, const Json& task) {
    std::vector<const Json*> repeated;
    for (const auto& step : task["steps"]) {
        if (!step["attempt_history"].is_null()) repeated.push_back(&step);
    }
    for (std::size_t at = 0; at < std::min(repeated.size(), kRepeatedMax); ++at) {
        const Json& step = *repeated[at];
        print_attempts(context, step["attempt_history"],
                       fmt::format("attempts of step {} ({})", cell_text(step["workflow_step_id"]),
                                   cell_text(step["name"])));
    }
    if (repeated.size() <= kRepeatedMax) return;
    context.print(
        fmt::format("\nand {} more failed or were repeated: `tasker step show ID` shows their attempts",
                    repeated.size() - kRepeatedMax));
}

/// The step of this name or id. Throws CommandError (not_found).
const Json& find_step(const Json& task, const ShowOptions& options) {
    for (const auto& step : task["steps"]) {
        if (cell_text(step["name"]) == options.error_of ||
            cell_text(step["workflow_step_id"]) == options.error_of)
            return step;
    }
    throw CommandError(ExitCode::not_found,
                       fmt::format("task {} has no step \"{}\"", options.id, printable(options.error_of)),
                       fmt::format("see `tasker task show {}`", options.id));
}

/// The step's own error, or that of its last attempt which failed.
Json error_of(const Json& step) {
    if (!step["error"].is_null()) return step["error"];
    Json error;
    for (const auto& attempt : step["attempt_history"]) {
        if (!attempt["error"].is_null()) error = attempt["error"];
    }
    return error;
}

ExitCode show_error(const Context& context, const ShowOptions& options, const Json& task) {
    const Json& step = find_step(task, options);
    const Json error = error_of(step);
    if (context.json) {
        context.print_json({{"task_id", task["task_id"]},
                            {"workflow_step_id", step["workflow_step_id"]},
                            {"name", step["name"]},
                            {"state", step["state"]},
                            {"error", error}});
        return ExitCode::ok;
    }
    const std::string what = fmt::format("step {} ({}) of task {}", cell_text(step["workflow_step_id"]),
                                         cell_text(step["name"]), options.id);
    if (error.is_null()) {
        context.print(printable(what + " has no error"));
        return ExitCode::ok;
    }
    context.print(printable(fmt::format("{} is {}; its last error:", what, cell_text(step["state"]))));
    print_error_in_full(context, error);
    return ExitCode::ok;
}

ExitCode show(const Context& context, const ShowOptions& options) {
    auto connection = context.connect_checked();
    const auto answer = api::task_json(connection, options.id, options.history);
    if (!answer) {
        throw CommandError(ExitCode::not_found, fmt::format("there is no task {}", options.id),
                           "see `tasker task list`");
    }
    if (!options.error_of.empty()) return show_error(context, options, parse_answer(*answer));
    if (context.json) {
        print_answer(context, *answer);
        return ExitCode::ok;
    }
    const Json task = parse_answer(*answer);
    print_facts(context, task);
    print_steps(context, task);
    print_repeated(context, task);
    if (options.history) print_history(context, task);
    return ExitCode::ok;
}

}  // namespace

void add_task_show(CLI::App& group, Context& context) {
    auto options = std::make_shared<ShowOptions>();
    CLI::App* command = group.add_subcommand("show", "show one task with its steps and their results");
    command->add_option("id", options->id, "the task")->required()->type_name("ID");
    command->add_flag("--history", options->history, "also every change of state, in order");
    command
        ->add_option("--error", options->error_of,
                     "print the last error of this step in full, with its backtrace")
        ->type_name("NAME|ID");
    command->footer(
        "Steps that failed or were repeated are shown with their attempts.\n"
        "--json prints all columns of the task with namespace, name, version and steps[], each with name,\n"
        "state, attempts, results, error, depends_on [names], attempt_history (null for those without) and\n"
        "all its other columns. With --error it prints that step's error.\n"
        "\n"
        "Examples:\n  tasker task show 17 --json\n  tasker task show 17 --error pay");
    context.on_run(command, [&context, options] { return show(context, *options); });
}

}  // namespace tasker::cli
