// tasker task submit|list|show|explain|wait|cancel|retry
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "orchestrator/api/query.hpp"
#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/explain_commands.hpp"
#include "orchestrator/cli/list_options.hpp"
#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/cli/show/task_watch.hpp"
#include "orchestrator/cli/task_operations.hpp"
#include "orchestrator/cli/task_show.hpp"
#include "orchestrator/cli/task_submit.hpp"
#include "orchestrator/core/states.hpp"

namespace tasker::cli {
namespace {

struct TaskListOptions {
    std::string state;
    std::string namespace_name;
    std::vector<std::string> tags;
    std::vector<std::string> context_values;
    std::shared_ptr<ListOptions> common;
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

/// "order.id=17", "items.0.sku=A": keys and positions, then the value as text.
api::ContextValue context_value(const std::string& text) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
        throw CommandError(ExitCode::usage,
                           fmt::format("--context: \"{}\" is no PATH=VALUE", printable(text)),
                           "write for example order.id=17 or items.0.sku=A-1");
    }
    api::ContextValue value{{}, text.substr(equals + 1)};
    std::size_t at = 0;
    while (at <= equals) {
        const auto dot = std::min(text.find('.', at), equals);
        value.path.push_back(text.substr(at, dot - at));
        at = dot + 1;
    }
    return value;
}

ExitCode list(const Context& context, const TaskListOptions& options) {
    if (!options.state.empty() && !core::parse_task_state(options.state)) {
        throw no_such_word(options.state, "state of a task",
                           {"pending", "in_progress", "complete", "error", "cancelled", "resolved_manually"});
    }
    auto connection = context.connect_checked();
    api::TaskFilter filter{given(options.state), given(options.namespace_name), options.common->limit,
                           options.common->read()};
    filter.tags = options.tags;
    for (const auto& text : options.context_values) filter.context_values.push_back(context_value(text));
    const std::string answer = api::task_list_json(connection, filter);
    if (context.json) {
        print_answer(context, answer);
        return ExitCode::ok;
    }
    const Json rows = parse_answer(answer);
    if (rows.empty()) {
        const bool narrowed = filter.state || filter.namespace_name || !filter.tags.empty() ||
                              !filter.context_values.empty() || options.common->narrows();
        context.print(empty_text("task", narrowed, "there is no task yet; `tasker task submit` creates one"));
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
                   cell_of_list(context, tags, 40)});
    }
    print_table(context, table, "");
    const std::string more = more_text(*options.common, rows.size(), cell_text(rows.back()["task_id"]));
    if (!more.empty()) context.print(more);
    return ExitCode::ok;
}

ExitCode wait(const Context& context, const WaitOptions& options) {
    TaskWatch watch(context);
    {
        auto connection = context.connect_checked();
        const auto known = api::task_progress(connection, options.ids);
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

    auto list_options = std::make_shared<TaskListOptions>();
    CLI::App* list_command = group->add_subcommand("list", "list tasks, the newest first");
    list_command
        ->add_option("--state", list_options->state,
                     "pending, in_progress, complete, error, cancelled or resolved_manually")
        ->type_name("STATE");
    list_command->add_option("--namespace", list_options->namespace_name, "only this namespace")
        ->type_name("NS");
    list_command->add_option("--tag", list_options->tags, "with this tag; may be repeated")
        ->type_name("TAG")
        ->allow_extra_args(false);
    list_command
        ->add_option("--context", list_options->context_values,
                     "with this value in the context: order.id=17, items.0.sku=A; may be repeated")
        ->type_name("PATH=VALUE")
        ->allow_extra_args(false);
    list_options->common = add_list_options(list_command);
    list_command->footer(
        "--handler and --error look at the steps of a task: at their last error.\n"
        "\n"
        "Examples:\n  tasker task list\n  tasker task list --state error --namespace fulfillment --json\n"
        "  tasker task list --template shop/order --since 2h --error timeout\n"
        "  tasker task list --tag vip --context customer.id=17");
    context.on_run(list_command, [&context, list_options] { return list(context, *list_options); });

    add_task_show(*group, context);
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
