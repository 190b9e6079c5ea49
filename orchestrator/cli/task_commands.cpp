// tasker task submit|list|show|explain|wait|cancel|retry
#include <fmt/format.h>

#include <memory>

#include "orchestrator/cli/answers.hpp"
#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/explain_commands.hpp"
#include "orchestrator/cli/task_operations.hpp"
#include "orchestrator/cli/task_submit.hpp"
#include "orchestrator/cli/task_watch.hpp"
#include "orchestrator/core/states.hpp"
#include "orchestrator/store/queries.hpp"

namespace tasker::cli {
namespace {

struct ListOptions {
    std::string state;
    std::string namespace_name;
    int limit = 50;
};

struct WaitOptions {
    std::vector<std::int64_t> ids;
    std::optional<double> timeout_seconds;
};

std::optional<std::string> given(const std::string& text) {
    return text.empty() ? std::nullopt : std::optional(text);
}

CommandError no_such_task(std::int64_t id) {
    return {ExitCode::not_found, fmt::format("there is no task {}", id), "see `tasker task list`"};
}

ExitCode list(const Context& context, const ListOptions& options) {
    if (!options.state.empty() && !core::parse_task_state(options.state)) {
        throw CommandError(ExitCode::usage, fmt::format("\"{}\" is no state of a task", options.state),
                           "pending, in_progress, complete, error, cancelled or resolved_manually");
    }
    auto connection = context.connect_checked();
    const std::string answer = store::task_list_json(
        connection, {given(options.state), given(options.namespace_name), options.limit});
    if (context.json) {
        print_answer(context, answer);
        return ExitCode::ok;
    }
    const Json rows = parse_answer(answer);
    if (rows.empty()) {
        context.print("no such task");
        return ExitCode::ok;
    }
    Table table({{"TASK", Align::right},
                 {"TEMPLATE"},
                 {"STATE"},
                 {"STEPS", Align::right},
                 {"CREATED"},
                 {"COMPLETED"},
                 {"TAGS"}});
    for (const auto& row : rows) {
        const auto total = row["total_steps"].get<std::int64_t>();
        std::string tags;
        for (const auto& tag : row["tags"]) tags += (tags.empty() ? "" : ", ") + cell_text(tag);
        table.add({cell_text(row["task_id"]),
                   fmt::format("{}/{}:{}", cell_text(row["namespace"]), cell_text(row["name"]),
                               cell_text(row["version"])),
                   state_cell(row["state"]),
                   fmt::format("{}/{}", total - row["open_steps"].get<std::int64_t>(), total),
                   {cell_time(row["created_at"]), Style::dim},
                   {cell_time(row["completed_at"]), Style::dim},
                   shortened(tags, 40)});
    }
    std::string text = table.text(context.color());
    if (rows.size() == static_cast<std::size_t>(options.limit)) {
        text += fmt::format("the newest {}; --limit shows more", options.limit);
    } else {
        text.pop_back();
    }
    context.print(text);
    return ExitCode::ok;
}

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
    if (step["state"] == "waiting_for_retry") return "next attempt at " + cell_time(step["next_attempt_at"]);
    return "";
}

void print_history(const Context& context, const Json& task) {
    Table table({{"AT"}, {"WHAT"}, {"EVENT"}, {"FROM"}, {"TO"}, {"DETAILS"}});
    struct Entry {
        std::string at;
        std::string what;
        const Json* transition;
    };
    std::vector<Entry> entries;
    for (const auto& transition : task["transitions"]) {
        entries.push_back({cell_text(transition["created_at"]), "task", &transition});
    }
    for (const auto& step : task["steps"]) {
        for (const auto& transition : step["transitions"]) {
            entries.push_back({cell_text(transition["created_at"]), cell_text(step["name"]), &transition});
        }
    }
    std::stable_sort(entries.begin(), entries.end(),
                     [](const Entry& a, const Entry& b) { return a.at < b.at; });
    for (const auto& entry : entries) {
        const Json& transition = *entry.transition;
        table.add({{entry.at, Style::dim},
                   entry.what,
                   cell_text(transition["event"]),
                   state_cell(transition["from_state"]),
                   state_cell(transition["to_state"]),
                   shortened(cell_text(transition["metadata"]), 60)});
    }
    std::string text = "\nhistory\n" + table.text(context.color());
    text.pop_back();
    context.print(text);
}

ExitCode show(const Context& context, std::int64_t id, bool history) {
    auto connection = context.connect_checked();
    const auto answer = store::task_json(connection, id, history);
    if (!answer) throw no_such_task(id);
    if (context.json) {
        print_answer(context, *answer);
        return ExitCode::ok;
    }
    const Json task = parse_answer(*answer);
    print_facts(context, task);
    Table table({{"STEP", Align::right},
                 {"NAME"},
                 {"STATE"},
                 {"ATTEMPTS", Align::right},
                 {"DEPENDS ON"},
                 {"RESULTS OR ERROR"}});
    const std::size_t room =
        context.is_terminal() ? std::max<std::size_t>(terminal_canvas(context).columns, 90) - 60 : 400;
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
                   {shortened(parents, 40), Style::dim},
                   shortened(outcome_of(step), room)});
    }
    std::string text = "\n" + table.text(context.color());
    text.pop_back();
    context.print(text);
    if (history) print_history(context, task);
    return ExitCode::ok;
}

ExitCode wait(const Context& context, const WaitOptions& options) {
    TaskWatch watch(context);
    {
        auto connection = context.connect_checked();
        const auto known = store::task_progress(connection, options.ids);
        for (const auto id : options.ids) {
            const bool found =
                std::any_of(known.begin(), known.end(), [&](const auto& task) { return task.task_id == id; });
            if (!found) throw no_such_task(id);
        }
    }
    std::optional<std::chrono::milliseconds> limit;
    if (options.timeout_seconds) {
        limit = std::chrono::milliseconds(static_cast<std::int64_t>(*options.timeout_seconds * 1000));
    }
    const WaitResult result = watch.wait(options.ids, limit);
    const ExitCode code = report_wait(context, result);
    if (context.json) {
        Json tasks = Json::array();
        for (const auto& task : result.tasks) {
            tasks.push_back({{"task_id", task.task_id},
                             {"state", task.state},
                             {"total_steps", task.total_steps},
                             {"completed_steps", task.completed_steps}});
        }
        context.print_json(tasks);
    }
    return code;
}

}  // namespace

void add_task_commands(CLI::App& app, Context& context) {
    CLI::App* group =
        app.add_subcommand("task", "submit, list, show, explain, wait for, cancel and retry tasks");
    group->require_subcommand(1);
    group->footer(
        "A task is one run of a template. These commands talk to the database, so they also work while no\n"
        "orchestrator runs; what they create waits there.\n"
        "\n"
        "Examples:\n"
        "  tasker task submit patterns/diamond --context '{\"value\": 6}' --wait\n"
        "  tasker task list --state error\n"
        "  tasker task show 17 --history\n"
        "  tasker task explain 17");
    add_task_submit(*group, context);

    auto list_options = std::make_shared<ListOptions>();
    CLI::App* list_command = group->add_subcommand("list", "list tasks, the newest first");
    list_command
        ->add_option("--state", list_options->state,
                     "pending, in_progress, complete, error, cancelled or resolved_manually")
        ->type_name("STATE");
    list_command->add_option("--namespace", list_options->namespace_name, "only this namespace")
        ->type_name("NS");
    list_command->add_option("--limit", list_options->limit, "how many (default 50)")
        ->type_name("N")
        ->check(CLI::Range(1, 100'000).description(""));
    list_command->footer(
        "Examples:\n  tasker task list\n  tasker task list --state error --namespace fulfillment --json");
    context.on_run(list_command, [&context, list_options] { return list(context, *list_options); });

    auto id = std::make_shared<std::int64_t>();
    auto history = std::make_shared<bool>(false);
    CLI::App* show_command = group->add_subcommand("show", "show one task with its steps and their results");
    show_command->add_option("id", *id, "the task")->required()->type_name("ID");
    show_command->add_flag("--history", *history, "also every change of state, in order");
    show_command->footer(
        "--json prints all columns of the task with namespace, name, version and steps[], each with name, "
        "state,\n"
        "attempts, results, error, depends_on [names] and all its other columns.\n"
        "\n"
        "Example:\n  tasker task show 17 --json");
    context.on_run(show_command, [&context, id, history] { return show(context, *id, *history); });

    add_task_explain(*group, context);

    auto wait_options = std::make_shared<WaitOptions>();
    CLI::App* wait_command = group->add_subcommand("wait", "wait until tasks have ended");
    wait_command->add_option("ids", wait_options->ids, "one or more tasks")->required()->type_name("ID…");
    wait_command->add_option("--timeout", wait_options->timeout_seconds, "wait at most so long")
        ->type_name("SECONDS")
        ->check(CLI::Range(0.0, 31'536'000.0).description(""));
    wait_command->footer(
        "Exits with 0 when all are complete (or resolved by an operator), with 1 when one ended in error or\n"
        "cancelled or the time was over, with 4 when there is no such task.\n"
        "\n"
        "Example:\n  tasker task wait 17 18 --timeout 60");
    context.on_run(wait_command, [&context, wait_options] { return wait(context, *wait_options); });
    add_task_operations(*group, context);
}

}  // namespace tasker::cli
