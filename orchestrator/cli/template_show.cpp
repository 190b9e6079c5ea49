// tasker template show
#include <fmt/format.h>

#include <memory>

#include "orchestrator/api/definitions.hpp"
#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/cli/template_name.hpp"
#include "orchestrator/cli/template_parts.hpp"
#include "orchestrator/options/yaml/write.hpp"
#include "orchestrator/templates/secrets.hpp"

namespace tasker::cli {
namespace {

constexpr const char* kFooter =
    "Shows the newest revision: its steps as a table, then every key with its value, defaults included and the\n"
    "overrides of the environment applied. Values that look like secrets are hidden, except with --json.\n"
    "\n"
    "Example:\n"
    "  tasker template show fulfillment/order_fulfillment";

std::string steps_table(const Context& context, const Json& steps) {
    Table table({{"STEP"},
                 {"DEPENDS ON"},
                 {"HANDLER"},
                 {"ATTEMPTS", Align::right},
                 {"TIME-OUT", Align::right},
                 {"ON ORPHAN"}});
    for (const auto& step : steps) {
        std::string parents;
        for (const auto& parent : step["depends_on"])
            parents += (parents.empty() ? "" : ", ") + cell_text(parent);
        const bool retryable = step["retryable"].get<bool>();
        table.add({{cell_text(step["name"]), Style::bold},
                   cell_of_list(context, parents, 48),
                   cell_text(step["handler_class"]),
                   retryable ? cell_text(step["retry_limit"]) : "1",
                   duration_text(step["timeout_ms"].get<double>() / 1000),
                   cell_text(step["on_orphan"])});
    }
    return table.text(context.color());
}

/// The stored configuration, whose keys are sorted, with what names the template and the steps in front.
Json in_reading_order(const Json& map) {
    Json ordered = Json::object();
    for (const char* key : {"name", "namespace_name", "version", "handler_class", "description"}) {
        if (map.contains(key)) ordered[key] = map[key];
    }
    for (const auto& [key, value] : map.items()) {
        if (key != "step_templates" && !ordered.contains(key)) ordered[key] = value;
    }
    if (!map.contains("step_templates")) return ordered;
    ordered["step_templates"] = Json::array();
    for (const auto& step : map["step_templates"])
        ordered["step_templates"].push_back(in_reading_order(step));
    return ordered;
}

ExitCode show(const Context& context, const std::string& reference) {
    const TemplateName name = parse_template_name(reference);
    auto connection = context.connect_checked();
    const auto answer = api::template_json(connection, name.namespace_name, name.name, name.version);
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
    context.print(
        fmt::format("loaded {}, digest {}", cell_time(shown["created_at"]), cell_text(shown["digest"])));
    if (const auto text = cell_text(shown["description"]); !text.empty()) context.print(printable(text));
    context.print("\n" + steps_table(context, shown["steps"]));
    const Json configuration = templates::without_secrets(in_reading_order(shown["configuration"]));
    std::string text = yaml::to_yaml(yaml::to_node(configuration));
    text.pop_back();
    context.print(text);
    return ExitCode::ok;
}

}  // namespace

void add_template_show(CLI::App& group, Context& context) {
    auto reference = std::make_shared<std::string>();
    CLI::App* command = group.add_subcommand("show", "show one: revision, digest, steps and every key");
    command->add_option("template", *reference, "without a version: the highest")
        ->required()
        ->type_name("NS/NAME[:VERSION]");
    command->footer(kFooter);
    context.on_run(command, [&context, reference] { return show(context, *reference); });
}

}  // namespace tasker::cli
