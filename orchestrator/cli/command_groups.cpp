#include "orchestrator/cli/command_groups.hpp"

namespace tasker::cli {
namespace {

constexpr const char* kDescription =
    "Tasker runs workflows: tasks of dependent steps, kept in PostgreSQL, carried out by workers in any "
    "language.";

constexpr const char* kFooter =
    "First steps:\n"
    "  tasker dev                        start a private PostgreSQL and the orchestrator here\n"
    "  eval \"$(tasker dev --env)\"        in another terminal: tell workers where they are\n"
    "\n"
    "Which database: --database URL, else TASKER_DATABASE_URL, else the `tasker dev` that runs in the\n"
    "nearest .tasker/ directory, else database.url of the configuration file.\n"
    "\n"
    "Exit codes:\n"
    "    0  done; or the answer is yes\n"
    "    1  failed; or the answer is no (a task ended in error, a check found something)\n"
    "    2  bad arguments or bad input; nothing was done\n"
    "    3  no database known, or it does not answer\n"
    "    4  what was named does not exist\n"
    "    5  the database's schema does not fit this program (see: tasker migrate status)\n"
    "  130  interrupted\n"
    "\n"
    "`tasker COMMAND --help` explains each command with examples.";

}  // namespace

void build_command_line(CLI::App& app, Context& context) {
    app.description(kDescription);
    app.footer(kFooter);
    app.get_formatter()->column_width(36);
    app.set_version_flag("--version", std::string("tasker ") + TASKER_VERSION);
    // Global options may also stand behind the command; subcommands inherit this.
    app.fallthrough();
    app.require_subcommand(1);
    app.add_option("--database", context.database_option, "PostgreSQL URL: postgresql://user@host:5432/name")
        ->type_name("URL");
    app.add_option("--config", context.config_option,
                   "settings file (default: config/orchestrator.yaml if it exists)")
        ->type_name("FILE");
    app.add_flag("--json", context.json, "answer in JSON, for scripts");
    app.add_flag("--no-color", context.no_color, "no colour (also: NO_COLOR=1)");

    add_dev_commands(app, context);
    add_migrate_commands(app, context);
    add_template_commands(app, context);
    add_task_commands(app, context);
    add_step_commands(app, context);
    add_dlq_commands(app, context);
    add_batch_commands(app, context);
    add_worker_commands(app, context);
    add_health_commands(app, context);
    add_db_commands(app, context);
}

}  // namespace tasker::cli
