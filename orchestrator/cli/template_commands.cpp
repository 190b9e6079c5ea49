// tasker template check|load|list|show
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "orchestrator/cli/answers.hpp"
#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/template_name.hpp"
#include "orchestrator/store/definitions.hpp"
#include "orchestrator/store/migrator.hpp"
#include "orchestrator/templates/load.hpp"

namespace tasker::cli {
namespace {

namespace fs = std::filesystem;
using templates::Problem;
using templates::Severity;
using templates::Template;

struct Loaded {
    std::vector<Template> templates;
    std::vector<Problem> problems;  // warnings included

    std::int64_t errors() const {
        return std::count_if(problems.begin(), problems.end(),
                             [](const Problem& problem) { return problem.severity == Severity::error; });
    }
};

/// Reads a file or a directory. Throws CommandError (not_found) when there is neither.
Loaded read_templates(const std::string& path, const std::string& environment) {
    std::error_code failure;
    const auto status = fs::status(path, failure);
    if (!fs::exists(status)) {
        throw CommandError(ExitCode::not_found, fmt::format("there is no file or directory {}", path),
                           "name a YAML file, or a directory that holds *.yaml files");
    }
    if (fs::is_directory(status)) {
        auto directory = templates::load_template_dir(path, environment);
        if (directory.templates.empty() && !directory.has_errors()) {
            throw CommandError(ExitCode::not_found, fmt::format("{} holds no *.yaml or *.yml file", path),
                               "name a YAML file, or a directory that holds some");
        }
        return {std::move(directory.templates), std::move(directory.problems)};
    }
    auto one = templates::load_template_file(path, environment);
    if (!one) return {{}, std::move(one.error())};
    Loaded loaded;
    loaded.problems = one->warnings;
    loaded.templates.push_back(std::move(*one));
    return loaded;
}

Json problem_json(const Problem& problem) {
    return {{"file", problem.file},
            {"line", problem.line},
            {"column", problem.column},
            {"field", problem.field},
            {"message", problem.message},
            {"severity", problem.severity == Severity::error ? "error" : "warning"}};
}

Json problems_json(const std::vector<Problem>& problems) {
    Json list = Json::array();
    for (const auto& problem : problems) list.push_back(problem_json(problem));
    return list;
}

void print_problems(const Context& context, const Loaded& loaded) {
    for (const auto& problem : loaded.problems) context.remark(to_string(problem));
}

std::string found_text(const Loaded& loaded) {
    const auto errors = loaded.errors();
    const auto warnings = static_cast<std::int64_t>(loaded.problems.size()) - errors;
    std::string text = count_text(errors, "error", "errors");
    if (warnings > 0) text += " and " + count_text(warnings, "warning", "warnings");
    return text;
}

ExitCode check(const Context& context, const std::string& path) {
    const std::string environment = context.settings().environment;
    const Loaded loaded = read_templates(path, environment);
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
    print_problems(context, loaded);
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

/// Throws CommandError (usage) when any file has an error: nothing is loaded then.
Loaded read_good_templates(const Context& context, const std::string& path) {
    Loaded loaded = read_templates(path, context.settings().environment);
    if (loaded.errors() == 0) return loaded;
    std::string text = fmt::format("{} in {}; nothing was loaded:", found_text(loaded), path);
    for (const auto& problem : loaded.problems) text += "\n  " + to_string(problem);
    throw CommandError(
        ExitCode::usage, text,
        fmt::format("correct what is listed; `tasker template check {}` tells again, without a database",
                    path));
}

ExitCode load(const Context& context, const std::string& path) {
    const Loaded loaded = read_good_templates(context, path);
    auto connection = context.connect_checked();
    const auto registered = store::register_templates(connection, loaded.templates);
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
    print_problems(context, loaded);
    Table table({{"TEMPLATE"}, {"REVISION", Align::right}, {"STEPS", Align::right}, {"OUTCOME"}});
    for (std::size_t i = 0; i < registered.size(); ++i) {
        const bool same = registered[i].outcome == store::RegistrationOutcome::unchanged;
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
    const Loaded loaded = read_good_templates(context, directory);
    print_problems(context, loaded);
    store::Connection connection(database_url, {.application_name = "tasker dev templates"});
    const auto registered = store::register_templates(connection, loaded.templates);
    const auto changed = std::count_if(registered.begin(), registered.end(), [](const auto& one) {
        return one.outcome != store::RegistrationOutcome::unchanged;
    });
    return fmt::format("{} from {}, {} new or changed",
                       count_text(static_cast<std::int64_t>(registered.size()), "template", "templates"),
                       directory, changed);
}

ExitCode list(const Context& context, const std::string& namespace_name) {
    auto connection = context.connect_checked();
    const std::string answer = store::template_list_json(
        connection, namespace_name.empty() ? std::nullopt : std::optional(namespace_name));
    if (context.json) {
        print_answer(context, answer);
        return ExitCode::ok;
    }
    const Json rows = parse_answer(answer);
    if (rows.empty()) {
        context.print("no template is loaded; load some with `tasker template load FILE|DIR`");
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
                   {shortened(cell_text(row["description"]), 60), Style::dim}});
    }
    std::string text = table.text(context.color());
    text.pop_back();
    context.print(text);
    return ExitCode::ok;
}

ExitCode show(const Context& context, const std::string& reference) {
    const TemplateName name = parse_template_name(reference);
    auto connection = context.connect_checked();
    const auto answer = store::template_json(connection, name.namespace_name, name.name, name.version);
    if (!answer) {
        throw CommandError(ExitCode::not_found, fmt::format("no template {} is loaded", reference),
                           "see `tasker template list`");
    }
    if (context.json) {
        print_answer(context, *answer);
        return ExitCode::ok;
    }
    const Json shown = parse_answer(*answer);
    context.print(fmt::format("{}/{}:{}  revision {} of {}", cell_text(shown["namespace"]),
                              cell_text(shown["name"]), cell_text(shown["version"]),
                              cell_text(shown["revision"]), shown["revisions"].size()));
    if (const auto text = cell_text(shown["description"]); !text.empty()) context.print(printable(text));
    Table table({{"STEP"},
                 {"DEPENDS ON"},
                 {"HANDLER"},
                 {"ATTEMPTS", Align::right},
                 {"TIME-OUT", Align::right},
                 {"ON ORPHAN"}});
    for (const auto& step : shown["steps"]) {
        std::string parents;
        for (const auto& parent : step["depends_on"])
            parents += (parents.empty() ? "" : ", ") + cell_text(parent);
        const bool retryable = step["retryable"].get<bool>();
        table.add({{cell_text(step["name"]), Style::bold},
                   shortened(parents, 48),
                   cell_text(step["handler_class"]),
                   retryable ? cell_text(step["retry_limit"]) : "1",
                   duration_text(step["timeout_ms"].get<double>() / 1000),
                   cell_text(step["on_orphan"])});
    }
    std::string text = "\n" + table.text(context.color());
    text.pop_back();
    context.print(text);
    if (const auto& schema = shown["configuration"]["schema"]; schema.is_object()) {
        context.print("\nschema of the context:\n" + schema.dump(2));
    }
    return ExitCode::ok;
}

}  // namespace

void add_template_commands(CLI::App& app, Context& context) {
    context.load_templates = [&context](const std::string& database_url, const std::string& directory) {
        return load_for_dev(context, database_url, directory);
    };
    CLI::App* group = app.add_subcommand("template", "check, load and show task definitions");
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
        "Warnings do not count.");
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

    auto reference = std::make_shared<std::string>();
    CLI::App* show_command = group->add_subcommand("show", "show one: steps, limits, schema");
    show_command->add_option("template", *reference, "without a version: the highest")
        ->required()
        ->type_name("NS/NAME[:VERSION]");
    show_command->footer("Example:\n  tasker template show fulfillment/order_fulfillment");
    context.on_run(show_command, [&context, reference] { return show(context, *reference); });
}

}  // namespace tasker::cli
