#include "orchestrator/cli/command_groups.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "orchestrator/cli/help_text.hpp"
#include "orchestrator/cli/init/init_commands.hpp"
#include "orchestrator/cli/numbers.hpp"
#include "orchestrator/cli/show/table.hpp"
#include "orchestrator/cli/show_config.hpp"
#include "orchestrator/options/database_url.hpp"
#include "orchestrator/util/version.hpp"

namespace tasker::cli {
namespace {

constexpr const char* kDescription =
    "Tasker runs workflows: tasks of dependent steps, kept in PostgreSQL, carried out by workers in any "
    "language.";

constexpr const char* kFooter =
    "First steps:\n"
    "  tasker init                     make a small project here\n"
    "  tasker dev --worker bin/worker  run PostgreSQL, orchestrator, worker\n"
    "\n"
    "Commands and workers find the `tasker dev` that runs in the nearest .tasker/ directory.\n"
    "\n"
    "Which database: --database URL, else TASKER_DATABASE_URL, else the `tasker dev` that runs in the\n"
    "nearest .tasker/ directory, else database.url of the configuration file.\n"
    "\n"
    "Exit codes:\n"
    "    0  done; or the answer is yes\n"
    "    1  failed; or the answer is no (a task failed, a check found faults)\n"
    "    2  bad arguments or bad input; nothing was done\n"
    "    3  no database known, or it does not answer\n"
    "    4  what was named does not exist\n"
    "    5  the database's schema does not fit: tasker migrate status\n"
    "  130  interrupted\n"
    "\n"
    "`tasker COMMAND --help` explains each command with examples.";

CLI::Validator named_database() {
    return {[](const std::string& url) {
                if (url.empty()) return std::string("a URL is named here, not an empty text");
                const auto fault = options::database_url_fault(url);
                return fault ? "the value " + *fault : std::string();
            },
            ""};
}

CLI::Validator named_file() {
    return {[](const std::string& path) -> std::string {
                if (path.empty()) return "a file is named here, not an empty text";
                std::error_code failed;
                const auto status = std::filesystem::status(path, failed);
                if (std::filesystem::is_directory(status))
                    return fmt::format("\"{}\" is no file", printable(path));
                if (std::filesystem::exists(status)) return "";
                return fmt::format("there is no file \"{}\"", printable(path));
            },
            ""};
}

}  // namespace

void build_command_line(CLI::App& app, Context& context) {
    app.description(kDescription);
    app.formatter(std::make_shared<HelpText>());
    app.set_version_flag("--version", util::version_text("tasker"));
    // Global options may also stand behind the command; subcommands inherit this.
    app.fallthrough();
    app.require_subcommand(1);
    app.add_option("--database", context.database_option, "PostgreSQL URL: postgresql://user@host:5432/name")
        ->type_name("URL")
        ->check(named_database());
    app.add_option("--config", context.config_option,
                   "settings file (default: config/orchestrator.yaml if it exists)")
        ->type_name("FILE")
        ->check(named_file());
    app.add_flag("--json", context.json, "answer in JSON, for scripts");
    app.add_flag("--wide", context.wide, "show tables in full, also where they do not fit the terminal");
    app.add_flag("--no-color", context.no_color, "no colour (also: NO_COLOR=1)");
    add_show_config(app);

    add_init_commands(app, context);
    add_dev_commands(app, context);
    add_migrate_commands(app, context);
    add_template_commands(app, context);
    add_task_commands(app, context);
    add_step_commands(app, context);
    add_dlq_commands(app, context);
    add_batch_commands(app, context);
    add_worker_commands(app, context);
    add_attention_commands(app, context);
    add_health_commands(app, context);
    add_db_commands(app, context);
    add_manual_commands(app, context);
    // Set last: commands defined after it would inherit it.
    app.footer(kFooter);
    require_decimal_numbers(app);
}

}  // namespace tasker::cli
