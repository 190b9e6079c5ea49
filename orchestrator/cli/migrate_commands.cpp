// tasker migrate up | down | status
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/table.hpp"
#include "orchestrator/store/migrator.hpp"

namespace tasker::cli {
namespace {

struct MigrateOptions {
    int to = -1;
    bool yes = false;
};

std::optional<int> target_of(const MigrateOptions& options) {
    return options.to < 0 ? std::nullopt : std::optional<int>(options.to);
}

ExitCode report(const Context& context, store::Connection& connection, const std::string& verb,
                const tl::expected<store::MigrationsDone, store::MigrationProblem>& done) {
    if (!done) throw CommandError(ExitCode::failed, done.error().message, done.error().advice);
    const int version = store::Migrator(connection).current_version();
    if (context.json) {
        context.print_json(
            {{"done", *done}, {"version", version}, {"required_version", store::required_version()}});
        return ExitCode::ok;
    }
    for (const std::string& title : *done) context.print(fmt::format("{} {}", verb, title));
    context.print(fmt::format("{}schema version {} of {} in {}", done->empty() ? "nothing to do: " : "",
                              version, store::required_version(), connection.description()));
    return ExitCode::ok;
}

ExitCode migrate_up(const Context& context, const MigrateOptions& options) {
    store::Connection connection = context.connect();
    return report(context, connection, "applied", store::Migrator(connection).up(target_of(options)));
}

ExitCode migrate_down(const Context& context, const MigrateOptions& options) {
    store::Connection connection = context.connect();
    store::Migrator migrator(connection);
    const int current = migrator.current_version();
    const int target = target_of(options).value_or(std::max(0, current - 1));
    if (target < current && !options.yes) {
        throw CommandError(
            ExitCode::usage,
            fmt::format("going from schema version {} down to {} drops tables of {} with all their data",
                        current, target, connection.description()),
            "say --yes if that is what you want");
    }
    return report(context, connection, "took back", migrator.down(target));
}

Style style_of(store::MigrationState state) {
    switch (state) {
        case store::MigrationState::applied:
            return Style::good;
        case store::MigrationState::pending:
            return Style::warning;
        case store::MigrationState::changed:
            return Style::bad;
        case store::MigrationState::unknown:
            return Style::bad;
    }
    return Style::plain;
}

ExitCode migrate_status(const Context& context) {
    store::Connection connection = context.connect();
    const auto lines = store::Migrator(connection).status();
    const auto check = store::check_schema(connection);
    if (context.json) {
        Json list = Json::array();
        for (const auto& line : lines) {
            list.push_back({{"version", line.version},
                            {"name", line.name},
                            {"state", store::to_string(line.state)},
                            {"applied_at", line.applied_at.empty() ? Json(nullptr) : Json(line.applied_at)}});
        }
        context.print_json({{"version", check.database_version},
                            {"required_version", check.required_version},
                            {"ok", check.verdict == store::SchemaVerdict::ok},
                            {"message", check.message},
                            {"migrations", list}});
    } else {
        Table table({{"VERSION", Align::right}, {"NAME"}, {"STATE"}, {"APPLIED AT"}});
        for (const auto& line : lines) {
            table.add({fmt::format("{:03}", line.version),
                       line.name,
                       {store::to_string(line.state), style_of(line.state)},
                       {line.applied_at, Style::dim}});
        }
        context.print(table.text(context.color()) +
                      (check.message.empty() ? connection.description() + " is up to date" : check.message));
    }
    return check.verdict == store::SchemaVerdict::ok ? ExitCode::ok : ExitCode::failed;
}

}  // namespace

void add_migrate_commands(CLI::App& app, Context& context) {
    CLI::App* group = app.add_subcommand("migrate", "bring the database to the schema this program needs");
    group->require_subcommand(1);
    group->footer(
        "The migrations are part of this program; no files are needed. Each one is a transaction: it is\n"
        "applied whole or not at all. Two migrators at once are safe, the second waits.\n"
        "\n"
        "Examples:\n"
        "  tasker migrate status\n"
        "  tasker migrate up --database postgresql://tasker@db.example/tasker");

    auto up_options = std::make_shared<MigrateOptions>();
    CLI::App* up = group->add_subcommand("up", "apply what is missing");
    up->add_option("--to", up_options->to, "stop after this version")
        ->type_name("N")
        ->check(CLI::PositiveNumber);
    up->footer("Examples:\n  tasker migrate up\n  tasker migrate up --to 4");
    context.on_run(up, [&context, up_options] { return migrate_up(context, *up_options); });

    auto down_options = std::make_shared<MigrateOptions>();
    CLI::App* down = group->add_subcommand("down", "take back the newest migration; destroys its data");
    down->add_option("--to", down_options->to, "take back all after this version; 0 takes back everything")
        ->type_name("N")
        ->check(CLI::NonNegativeNumber);
    down->add_flag("--yes", down_options->yes, "yes, drop the tables and their data");
    down->footer("Examples:\n  tasker migrate down --yes\n  tasker migrate down --to 0 --yes");
    context.on_run(down, [&context, down_options] { return migrate_down(context, *down_options); });

    CLI::App* status = group->add_subcommand("status", "show which migrations are applied");
    status->footer("Exits with 0 when the schema is the one this program needs, else with 1.");
    context.on_run(status, [&context] { return migrate_status(context); });
}

}  // namespace tasker::cli
