// tasker migrate up | down | status
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/show/table.hpp"
#include "orchestrator/postgres/migrator.hpp"

namespace tasker::cli {
namespace {

struct MigrateOptions {
    int to = -1;
    bool yes = false;
};

std::optional<int> target_of(const MigrateOptions& options) {
    return options.to < 0 ? std::nullopt : std::optional<int>(options.to);
}

ExitCode report(const Context& context, postgres::Connection& connection, const std::string& verb,
                const tl::expected<postgres::MigrationsDone, postgres::MigrationProblem>& done) {
    if (!done) throw CommandError(ExitCode::failed, done.error().message, done.error().advice);
    const int version = postgres::Migrator(connection).current_version();
    if (context.json) {
        context.print_json(
            {{"done", *done}, {"version", version}, {"required_version", postgres::required_version()}});
        return ExitCode::ok;
    }
    for (const std::string& title : *done) context.print(fmt::format("{} {}", verb, title));
    context.print(fmt::format("{}schema version {} of {} in {}", done->empty() ? "nothing to do: " : "",
                              version, postgres::required_version(), connection.description()));
    return ExitCode::ok;
}

ExitCode migrate_up(const Context& context, const MigrateOptions& options) {
    postgres::Connection connection = context.connect();
    return report(context, connection, "applied", postgres::Migrator(connection).up(target_of(options)));
}

ExitCode migrate_down(const Context& context, const MigrateOptions& options) {
    postgres::Connection connection = context.connect();
    postgres::Migrator migrator(connection);
    const int current = migrator.current_version();
    const int target = target_of(options).value_or(std::max(0, current - 1));
    if (target < current && !options.yes) {
        throw CommandError(
            ExitCode::usage,
            fmt::format("going from schema version {} down to {} drops tables of {} with all their data",
                        current, target, connection.description()),
            "repeat it with --yes if that is what you want");
    }
    return report(context, connection, "took back", migrator.down(target));
}

Style style_of(postgres::MigrationState state) {
    switch (state) {
        case postgres::MigrationState::applied:
            return Style::good;
        case postgres::MigrationState::pending:
            return Style::warning;
        case postgres::MigrationState::changed:
            return Style::bad;
        case postgres::MigrationState::unknown:
            return Style::bad;
    }
    return Style::plain;
}

Style style_of(postgres::LayerState state) {
    switch (state) {
        case postgres::LayerState::applied:
            return Style::good;
        case postgres::LayerState::pending:
            return Style::warning;
        case postgres::LayerState::changed:
            return Style::bad;
    }
    return Style::plain;
}

Json time_or_null(const std::string& time) {
    return time.empty() ? Json(nullptr) : Json(time);
}

Json status_json(const std::vector<postgres::MigrationStatus>& lines, const postgres::LayerStatus& layer,
                 const postgres::SchemaCheck& check) {
    Json list = Json::array();
    for (const auto& line : lines) {
        list.push_back({{"version", line.version},
                        {"name", line.name},
                        {"state", postgres::to_string(line.state)},
                        {"applied_at", time_or_null(line.applied_at)}});
    }
    return {{"version", check.database_version},
            {"required_version", check.required_version},
            {"ok", check.verdict == postgres::SchemaVerdict::ok},
            {"message", check.message},
            {"migrations", list},
            {"functions",
             {{"state", postgres::to_string(layer.state)},
              {"objects", layer.objects},
              {"files", layer.files},
              {"files_differ", layer.files_differ},
              {"objects_differ", layer.objects_differ},
              {"applied_at", time_or_null(layer.applied_at)}}}};
}

/// "functions (98 files, 103 objects)"; where they are not those of this program also how many files differ.
std::string layer_name(const postgres::LayerStatus& layer) {
    std::string counts = fmt::format("{} files, {} objects", layer.files, layer.objects);
    if (layer.state == postgres::LayerState::changed)
        counts += fmt::format(", {} files differ, {} objects altered by hand", layer.files_differ,
                              layer.objects_differ);
    return "functions (" + counts + ")";
}

ExitCode migrate_status(const Context& context) {
    postgres::Connection connection = context.connect();
    postgres::Migrator migrator(connection);
    const auto lines = migrator.status();
    const auto layer = migrator.layer_status();
    const auto check = postgres::check_schema(connection);
    if (context.json) {
        context.print_json(status_json(lines, layer, check));
    } else {
        Table table({{"VERSION", Align::right}, {"NAME"}, {"STATE"}, {"APPLIED AT"}});
        for (const auto& line : lines) {
            table.add({fmt::format("{:03}", line.version),
                       line.name,
                       {postgres::to_string(line.state), style_of(line.state)},
                       {line.applied_at, Style::dim}});
        }
        table.add({"",
                   layer_name(layer),
                   {postgres::to_string(layer.state), style_of(layer.state)},
                   {layer.applied_at, Style::dim}});
        context.print(table.text(context.color()) +
                      (check.message.empty() ? connection.description() + " is up to date" : check.message));
    }
    return check.verdict == postgres::SchemaVerdict::ok ? ExitCode::ok : ExitCode::failed;
}

}  // namespace

void add_migrate_commands(CLI::App& app, Context& context) {
    CLI::App* group = app.add_subcommand("migrate", "bring the database to the schema this program needs");
    group->require_subcommand(1);
    group->footer(
        "The schema is part of this program; no files are needed. Numbered migrations hold the tables and "
        "are\n"
        "applied once each. The functions and views on top are one layer: `up` applies all of it whenever "
        "one of\n"
        "its files has changed, and drops what is gone. Each migration, and the layer, is one transaction.\n"
        "Two migrators at once are safe, the second waits.\n"
        "\n"
        "Examples:\n"
        "  tasker migrate status\n"
        "  tasker migrate up --database postgresql://tasker@db.example/tasker");

    auto up_options = std::make_shared<MigrateOptions>();
    CLI::App* up = group->add_subcommand("up", "apply what is missing");
    up->add_option("--to", up_options->to, "stop after this version")
        ->type_name("N")
        ->check(CLI::Range(1, 1'000'000).description(""));
    up->footer("Examples:\n  tasker migrate up\n  tasker migrate up --to 4");
    context.on_run(up, [&context, up_options] { return migrate_up(context, *up_options); });

    auto down_options = std::make_shared<MigrateOptions>();
    CLI::App* down = group->add_subcommand("down", "take back the newest migration; destroys its data");
    down->add_option("--to", down_options->to, "take back all after this version; 0 takes back everything")
        ->type_name("N")
        ->check(CLI::Range(0, 1'000'000).description(""));
    down->add_flag("--yes", down_options->yes, "yes, drop the tables and their data");
    down->footer("Examples:\n  tasker migrate down --yes\n  tasker migrate down --to 0 --yes");
    context.on_run(down, [&context, down_options] { return migrate_down(context, *down_options); });

    CLI::App* status = group->add_subcommand("status", "show which migrations and functions are applied");
    status->footer("Exits with 0 when the schema is the one this program needs, else with 1.");
    context.on_run(status, [&context] { return migrate_status(context); });
}

}  // namespace tasker::cli
