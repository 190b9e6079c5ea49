// tasker dev
#include <fmt/format.h>

#include <memory>

#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/dev/dev_session.hpp"
#include "orchestrator/cli/dev/dev_state.hpp"

namespace tasker::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDevFooter =
    "Starts a private PostgreSQL (first time: creates it), brings its schema up to date, loads the templates\n"
    "and starts the orchestrator on ipc:// sockets, with config/orchestrator.yaml and config/zeromq.yaml if they\n"
    "are here. Ctrl-C stops all of it in order; the next start finds the data again. To begin anew, stop it and\n"
    "remove the directory. Commands and workers find the running one from this folder and from below.\n"
    "\n"
    "--worker COMMAND runs a worker beside it, in a shell and with the environment set. Its lines are shown\n"
    "behind its name. It is started again when it ends, after a pause that grows.\n"
    "\n"
    "--reload loads the templates when one of them changes; a bad one is named, and what was loaded stays.\n"
    "It also restarts workers when another source below this folder changes (.py, .rb, .yaml and the like,\n"
    "executables; not what is hidden, tmp/ and log/).\n"
    "\n"
    "An orchestrator that dies is started again; after five deaths in a row within seconds, all stops. When\n"
    "PostgreSQL dies, all stops: what was committed is safe.\n"
    "\n"
    "Nothing that already lies in the directory is believed: it must be yours, and no link. A database that\n"
    "came with a copy or a clone is refused, since a server runs code that its data name (--adopt).\n"
    "\n"
    "With TASKER_DATABASE_URL or --database an existing server is used instead of a private one. The\n"
    "environment variables TASKER_STEPS_ENDPOINT, TASKER_RESULTS_ENDPOINT and TASKER_COMMAND_ENDPOINT\n"
    "replace the sockets, and so do other endpoints than the usual ones in the settings. Variables that an\n"
    "earlier `tasker dev --env` left in the terminal are ignored.\n"
    "\n"
    "Examples:\n"
    "  tasker dev\n"
    "  tasker dev --reload --worker 'bin/worker --import ./handlers.py'\n"
    "  workers/ruby/exe/tasker-worker  # in a second terminal, same folder\n"
    "  tasker health                   # in a third\n"
    "  eval \"$(tasker dev --env --dir /elsewhere/.tasker)\"  # another folder's";

ExitCode print_environment(const Context& context, const fs::path& directory, bool named) {
    // Without --dir any directory below the project will do, as for all other commands.
    const auto found = named ? std::optional<fs::path>(fs::absolute(directory))
                             : find_running_dev(fs::current_path()).directory;
    const auto state = found ? read_running_dev(*found) : std::nullopt;
    if (!state) {
        throw CommandError(ExitCode::not_found,
                           named ? fmt::format("no tasker dev runs in {}", directory.string())
                                 : "no tasker dev runs here (no .tasker/ with a running one, here or above)",
                           "start one with `tasker dev`");
    }
    if (context.json) {
        context.print_json(state->to_json());
        return ExitCode::ok;
    }
    context.print("export TASKER_DATABASE_URL=" + shell_quoted(state->database_url));
    context.print("export TASKER_STEPS_ENDPOINT=" + shell_quoted(state->endpoints.steps));
    context.print("export TASKER_RESULTS_ENDPOINT=" + shell_quoted(state->endpoints.results));
    context.print("export TASKER_COMMAND_ENDPOINT=" + shell_quoted(state->endpoints.command));
    return ExitCode::ok;
}

}  // namespace

void add_dev_commands(CLI::App& app, Context& context) {
    auto options = std::make_shared<DevOptions>();
    auto environment = std::make_shared<bool>(false);
    CLI::App* dev = app.add_subcommand("dev", "run PostgreSQL and the orchestrator here, for development");
    const CLI::Option* directory =
        dev->add_option("--dir", options->directory, "where data, sockets and logs live (default: .tasker)")
            ->type_name("DIR");
    const CLI::Option* templates =
        dev->add_option("--templates", options->templates,
                        "task templates to load (default: templates_dir of the settings, else config/tasks)")
            ->type_name("DIR");
    dev->add_option("--orchestrator", options->orchestrator,
                    "the orchestrator (default: the one beside this program)")
        ->type_name("FILE");
    dev->add_option("--worker", options->workers,
                    "run this worker, too, and start it again when it ends (repeatable)")
        ->type_name("COMMAND")
        ->allow_extra_args(false);
    dev->add_flag("--reload", options->reload, "when files change: load the templates, restart the workers");
    dev->add_flag("--adopt", options->adopt_data,
                  "use a database that was not made here: one that you copied and trust");
    dev->add_flag("--env", *environment, "print `export` lines for workers of the running one, and exit");
    dev->footer(kDevFooter);
    context.on_run(dev, [&context, options, environment, directory, templates] {
        if (*environment) return print_environment(context, options->directory, directory->count() > 0);
        const std::string& configured = context.settings().templates_dir;
        options->templates_named = templates->count() > 0 || configured != options::kOff;
        if (templates->count() == 0 && configured != options::kOff) options->templates = configured;
        if (options->reload && options->workers.empty() && !fs::is_directory(options->templates)) {
            throw CommandError(
                ExitCode::usage,
                fmt::format("--reload restarts workers and loads templates, and there are neither: no "
                            "--worker, no directory {}",
                            options->templates.string()),
                "add --worker 'COMMAND', or --templates DIR");
        }
        return DevSession(context, *options).run();
    });
}

}  // namespace tasker::cli
