// tasker template diff
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <utility>

#include "orchestrator/api/template_difference.hpp"
#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/cli/template_files.hpp"
#include "orchestrator/cli/template_name.hpp"
#include "orchestrator/cli/template_parts.hpp"
#include "orchestrator/templates/secrets.hpp"

namespace tasker::cli {
namespace {

using api::StoredTemplate;
using templates::Difference;
using templates::KeyChange;
using VersionArgument = std::optional<std::string>;

constexpr const char* kFooter =
    "With a file: what `tasker template load FILE` would change of the newest revision of the same version, or how\n"
    "the file differs from VERSION. With a name: what the last load changed, or how the template differs from\n"
    "VERSION. A template that is not registered is new: all of it differs. Values that look like secrets are\n"
    "hidden.\n"
    "\n"
    "Exits with 0 when nothing differs, and with 1 when something does.\n"
    "\n"
    "Examples:\n"
    "  tasker template diff config/tasks/order_fulfillment.yaml\n"
    "  tasker template diff order_fulfillment.yaml 1.0.0\n"
    "  tasker template diff fulfillment/order_fulfillment:1.1.0 1.0.0";

/// One template on two sides. Nothing before it: it is new. `after` is nothing for a file that is not loaded.
struct Compared {
    std::string namespace_name;
    std::string name;
    std::string version;
    std::optional<StoredTemplate> before;
    std::optional<StoredTemplate> after;
    Difference difference;
};

/// The value as people may see it: a secret by its key or its form is hidden.
Json shown_value(const std::string& key, const nlohmann::json& value) {
    const std::string last = key.substr(key.rfind('.') + 1);
    return templates::without_secrets(Json{{last, value}})[last];
}

std::string value_text(const std::string& key, const std::optional<nlohmann::json>& value) {
    return value ? shortened(shown_value(key, *value).dump(), 200) : "(absent)";
}

Json keys_json(const std::vector<KeyChange>& keys) {
    Json list = Json::array();
    for (const KeyChange& change : keys) {
        Json one{{"key", change.key}};
        if (change.before) one["before"] = shown_value(change.key, *change.before);
        if (change.after) one["after"] = shown_value(change.key, *change.after);
        list.push_back(std::move(one));
    }
    return list;
}

Json side_json(const std::optional<StoredTemplate>& stored) {
    if (!stored) return nullptr;
    return {{"version", stored->version}, {"revision", stored->revision}, {"digest", stored->digest}};
}

Json compared_json(const Compared& one) {
    Json changed = Json::array();
    for (const auto& step : one.difference.changed)
        changed.push_back({{"name", step.name}, {"keys", keys_json(step.keys)}});
    return {{"namespace", one.namespace_name},
            {"name", one.name},
            {"version", one.version},
            {"equal", one.difference.empty()},
            {"before", side_json(one.before)},
            {"after", side_json(one.after)},
            {"keys", keys_json(one.difference.keys)},
            {"steps",
             {{"added", one.difference.added},
              {"removed", one.difference.removed},
              {"changed", std::move(changed)},
              {"reordered", one.difference.reordered}}}};
}

void print_keys(const Context& context, const std::vector<KeyChange>& keys, std::string_view indent) {
    for (const KeyChange& change : keys) {
        context.print(fmt::format("{}{}: {} → {}", indent, printable(change.key),
                                  value_text(change.key, change.before),
                                  value_text(change.key, change.after)));
    }
}

std::string side_text(const std::optional<StoredTemplate>& stored) {
    return stored ? fmt::format("{} revision {}", stored->version, stored->revision) : "the file";
}

void print_compared(const Context& context, const Compared& one) {
    const std::string title = fmt::format("{}/{}:{}", one.namespace_name, one.name, one.version);
    const bool color = context.color();
    if (one.difference.empty()) {
        context.print(fmt::format("{}  no difference to {}", title, side_text(one.before)));
        return;
    }
    if (!one.before) {
        context.print(styled(
            fmt::format("{}  is new, with {}", title,
                        count_text(static_cast<std::int64_t>(one.difference.added.size()), "step", "steps")),
            Style::good, color));
        return;
    }
    context.print(styled(fmt::format("{}  {} → {}", title, side_text(one.before), side_text(one.after)),
                         Style::bold, color));
    print_keys(context, one.difference.keys, "  ");
    for (const auto& name : one.difference.added)
        context.print(styled("+ step " + printable(name), Style::good, color));
    for (const auto& name : one.difference.removed)
        context.print(styled("- step " + printable(name), Style::bad, color));
    for (const auto& step : one.difference.changed) {
        context.print(styled("~ step " + printable(step.name), Style::warning, color));
        print_keys(context, step.keys, "    ");
    }
    if (one.difference.reordered) context.print("  the steps stand in another order");
}

StoredTemplate required(postgres::Connection& connection, const TemplateName& name,
                        const VersionArgument& version) {
    auto stored = api::stored_template(connection, name.namespace_name, name.name, version);
    if (stored) return std::move(*stored);
    throw CommandError(ExitCode::not_found,
                       fmt::format("no template {}/{}{} is loaded", name.namespace_name, name.name,
                                   version ? ":" + *version : ""),
                       "see `tasker template list`");
}

std::vector<Compared> compare_files(const Context& context, postgres::Connection& connection,
                                    const api::TemplateFiles& loaded, const VersionArgument& version) {
    print_problems(context, loaded.problems);
    std::vector<Compared> all;
    for (const auto& one : loaded.templates) {
        Compared compared{one.namespace_name, one.name, one.version, {}, {}, {}};
        compared.before = version
                              ? required(connection, {one.namespace_name, one.name, {}}, version)
                              : api::stored_template(connection, one.namespace_name, one.name, one.version);
        compared.difference = api::difference(compared.before, one);
        all.push_back(std::move(compared));
    }
    return all;
}

Compared compare_registered(postgres::Connection& connection, const TemplateName& name,
                            const VersionArgument& version) {
    StoredTemplate after = required(connection, name, name.version);
    Compared compared{name.namespace_name, name.name, after.version, {}, after, {}};
    if (version) {
        compared.before = required(connection, name, version);
    } else {
        compared.before = api::stored_template(connection, name.namespace_name, name.name, after.version, 1);
    }
    compared.difference = compared.before ? api::difference(*compared.before, after)
                                          : templates::compare(nlohmann::json(), after.configuration);
    return compared;
}

ExitCode diff(const Context& context, const std::string& what, const std::string& version_text) {
    const VersionArgument version = version_text.empty() ? std::nullopt : VersionArgument(version_text);
    std::error_code ignored;
    std::vector<Compared> all;
    // A path that exists is meant as such, even when it could be a name.
    if (std::filesystem::exists(what, ignored) || what.ends_with(".yaml") || what.ends_with(".yml")) {
        const api::TemplateFiles loaded = read_good_templates(context, what, "nothing was compared");
        auto connection = context.connect_checked();
        all = compare_files(context, connection, loaded, version);
    } else {
        const TemplateName name = parse_template_name(what);
        auto connection = context.connect_checked();
        all.push_back(compare_registered(connection, name, version));
    }
    bool equal = true;
    Json list = Json::array();
    for (const Compared& one : all) {
        equal = equal && one.difference.empty();
        if (context.json) {
            list.push_back(compared_json(one));
        } else {
            print_compared(context, one);
        }
    }
    if (context.json) context.print_json({{"equal", equal}, {"templates", std::move(list)}});
    return equal ? ExitCode::ok : ExitCode::failed;
}

}  // namespace

void add_template_diff(CLI::App& group, Context& context) {
    auto what = std::make_shared<std::string>();
    auto version = std::make_shared<std::string>();
    CLI::App* command = group.add_subcommand("diff", "show what loading a file would change");
    command->add_option("template", *what, "a YAML file, a directory of them, or a registered template")
        ->required()
        ->type_name("FILE|NS/NAME[:VERSION]");
    command->add_option("version", *version, "compare with this registered version")->type_name("VERSION");
    command->footer(kFooter);
    context.on_run(command, [&context, what, version] { return diff(context, *what, *version); });
}

}  // namespace tasker::cli
