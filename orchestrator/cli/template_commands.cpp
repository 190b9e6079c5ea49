// tasker template check|load|list; the commands for one template stand in files of their own
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "orchestrator/api/definitions.hpp"
#include "orchestrator/api/template_files.hpp"
#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/cli/template_files.hpp"
#include "orchestrator/cli/template_parts.hpp"
#include "orchestrator/postgres/migrator.hpp"
#include "orchestrator/templates/load.hpp"

namespace tasker::cli {
namespace {

using api::TemplateFiles;

ExitCode check(const Context& context, const std::string& path) {
    const std::string environment = context.settings().environment;
    const TemplateFiles loaded = read_templates(path, environment);
    const bool good = loaded.errors() == 0;
    if (context.json) {
        Json list = Json::array();
        for (const auto& one : loaded.templates) {
            list.push_back({{"file", one.source_file},
                            {"namespace", one.namespace_name},
                            {"name", one.name},
                            {"version", one.version},
                            {"steps", one.steps.size()},
                            {"digest", templates::digest(one)}});
        }
        context.print_json({{"ok", good},
                            {"environment", environment},
                            {"templates", list},
                            {"problems", problems_json(loaded.problems)}});
        return good ? ExitCode::ok : ExitCode::failed;
    }
    print_problems(context, loaded.problems);
    if (!good) {
        context.print(fmt::format("{}: {}", path, found_text(loaded)));
        return ExitCode::failed;
    }
    Table table({{"TEMPLATE"}, {"STEPS", Align::right}, {"FILE"}});
    for (const auto& one : loaded.templates) {
        table.add({one.full_name(), std::to_string(one.steps.size()), {one.source_file, Style::dim}});
    }
    context.print(table.text(context.color()) +
                  fmt::format("{} good for environment \"{}\"",
                              count_text(static_cast<std::int64_t>(loaded.templates.size()), "template is",
                                         "templates are"),
                              environment));
    return ExitCode::ok;
}

ExitCode load(const Context& context, const std::string& path) {
    const TemplateFiles loaded = read_good_templates(context, path, "nothing was loaded");
    auto connection = context.connect_checked();
    const auto registered = api::register_templates(connection, loaded.templates);
    if (context.json) {
        Json list = Json::array();
        for (std::size_t i = 0; i < registered.size(); ++i) {
            const auto& one = loaded.templates[i];
            list.push_back({{"namespace", one.namespace_name},
                            {"name", one.name},
                            {"version", one.version},
                            {"revision", registered[i].revision},
                            {"outcome", to_string(registered[i].outcome)},
                            {"named_task_id", registered[i].named_task_id},
                            {"task_template_id", registered[i].task_template_id},
                            {"file", one.source_file}});
        }
        context.print_json({{"templates", list}, {"problems", problems_json(loaded.problems)}});
        return ExitCode::ok;
    }
    print_problems(context, loaded.problems);
    Table table({{"TEMPLATE"}, {"REVISION", Align::right}, {"STEPS", Align::right}, {"OUTCOME"}});
    for (std::size_t i = 0; i < registered.size(); ++i) {
        const bool same = registered[i].outcome == api::RegistrationOutcome::unchanged;
        table.add({loaded.templates[i].full_name(),
                   std::to_string(registered[i].revision),
                   std::to_string(loaded.templates[i].steps.size()),
                   {std::string(to_string(registered[i].outcome)), same ? Style::dim : Style::good}});
    }
    context.print(table.text(context.color()) + fmt::format("loaded into {}", connection.description()));
    return ExitCode::ok;
}

/// For `tasker dev`: a line about what was loaded.
std::string load_for_dev(const Context& context, const std::string& database_url,
                         const std::string& directory) {
    const TemplateFiles loaded = read_good_templates(context, directory, "nothing was loaded");
    print_problems(context, loaded.problems);
    postgres::Connection connection(context.address(database_url),
                                    {.application_name = "tasker dev templates"});
    const auto registered = api::register_templates(connection, loaded.templates);
    const auto changed = std::count_if(registered.begin(), registered.end(), [](const auto& one) {
        return one.outcome != api::RegistrationOutcome::unchanged;
    });
    return fmt::format("{} from {}, {} new or changed",
                       count_text(static_cast<std::int64_t>(registered.size()), "template", "templates"),
                       directory, changed);
}

ExitCode list(const Context& context, const std::string& namespace_name) {
    auto connection = context.connect_checked();
    const std::string answer = api::template_list_json(
        connection, namespace_name.empty() ? std::nullopt : std::optional(namespace_name));
    if (context.json) {
        print_answer(context, answer);
        return ExitCode::ok;
    }
    const Json rows = parse_answer(answer);
    if (rows.empty()) {
        context.print(namespace_name.empty()
                          ? "no template is loaded; load some with `tasker template load FILE|DIR`"
                          : fmt::format("no template in namespace \"{}\"; `tasker template list` shows all",
                                        namespace_name));
        return ExitCode::ok;
    }
    Table table({{"NAMESPACE"},
                 {"NAME"},
                 {"VERSION"},
                 {"REVISION", Align::right},
                 {"STEPS", Align::right},
                 {"TASKS", Align::right},
                 {"DESCRIPTION"}});
    for (const auto& row : rows) {
        table.add({cell_text(row["namespace"]),
                   {cell_text(row["name"]), Style::bold},
                   cell_text(row["version"]),
                   cell_text(row["revision"]),
                   cell_text(row["steps"]),
                   cell_text(row["tasks"]),
                   {cell_of_list(context, cell_text(row["description"]), 60), Style::dim}});
    }
    std::string text = table.text(context.color());
    text.pop_back();
    context.print(text);
    return ExitCode::ok;
}

}  // namespace

void add_template_commands(CLI::App& app, Context& context) {
    context.load_templates = [&context](const std::string& database_url, const std::string& directory) {
        return load_for_dev(context, database_url, directory);
    };
    CLI::App* group =
        app.add_subcommand("template", "check, load, show, compare and convert task definitions");
    group->require_subcommand(1);
    group->footer(
        "A template is a YAML file that names the steps of a task, their handlers and how they depend on\n"
        "each other. Loading one that has changed makes a new revision; tasks that exist keep theirs.\n"
        "TASKER_ENV selects an entry of its `environments`.\n"
        "\n"
        "Examples:\n"
        "  tasker template check config/tasks\n"
        "  tasker template load config/tasks/order_fulfillment.yaml\n"
        "  tasker template show fulfillment/order_fulfillment:1.0.0");

    auto path = std::make_shared<std::string>();
    CLI::App* check_command = group->add_subcommand("check", "find what is wrong, without a database");
    check_command->add_option("path", *path, "a YAML file, or a directory of them")
        ->required()
        ->type_name("FILE|DIR");
    check_command->footer(
        "Every problem is shown as file:line:column, not only the first. Exits with 1 when there are "
        "errors.\n"
        "Warnings do not count. One names each keyword and format of a schema that nothing checks.\n"
        "Formats that are checked: date, time, date-time, email, hostname, ipv4, ipv6, uri, uuid.");
    context.on_run(check_command, [&context, path] { return check(context, *path); });

    CLI::App* load_command = group->add_subcommand("load", "load into the database: all files or none");
    load_command->add_option("path", *path, "a YAML file, or a directory of them")
        ->required()
        ->type_name("FILE|DIR");
    load_command->footer(
        "Examples:\n  tasker template load config/tasks\n  TASKER_ENV=production tasker template load "
        "config/tasks");
    context.on_run(load_command, [&context, path] { return load(context, *path); });

    auto namespace_name = std::make_shared<std::string>();
    CLI::App* list_command = group->add_subcommand("list", "list what is loaded");
    list_command->add_option("--namespace", *namespace_name, "only this namespace")->type_name("NS");
    context.on_run(list_command, [&context, namespace_name] { return list(context, *namespace_name); });

    add_template_show(*group, context);
    add_template_diff(*group, context);
    add_template_convert(*group, context);
    add_template_schema(*group, context);
}

}  // namespace tasker::cli
