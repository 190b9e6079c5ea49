// tasker dev
#include <fmt/format.h>

#include <memory>

#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/dev_session.hpp"
#include "orchestrator/cli/dev_state.hpp"

namespace tasker::cli {
namespace {

namespace fs = std::filesystem;

std::string shell_quoted(const std::string& text) {
    std::string quoted = "'";
    for (const char character : text) {
        if (character == '\'') {
            quoted += "'\\''";
        } else {
            quoted += character;
        }
    }
    return quoted + "'";
}

ExitCode print_environment(const Context& context, const fs::path& directory, bool named) {
    // Without --dir any directory below the project will do, as for all other commands.
    const auto found =
        named ? std::optional<fs::path>(fs::absolute(directory)) : find_running_dev(fs::current_path());
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
    dev->add_option("--templates", options->templates,
                    "task templates to load (default: config/tasks, if it exists)")
        ->type_name("DIR");
    dev->add_option("--orchestrator", options->orchestrator,
                    "the orchestrator (default: the one beside this program)")
        ->type_name("FILE");
    dev->add_flag("--env", *environment, "print `export` lines for workers of the running one, and exit");
    dev->footer(
        "Starts a private PostgreSQL (first time: creates it), brings its schema up to date, loads the\n"
        "templates and starts the orchestrator on ipc:// sockets. Ctrl-C stops all of it in order; the next\n"
        "start finds the data again. To begin anew, stop it and remove the directory.\n"
        "\n"
        "With TASKER_DATABASE_URL or --database an existing server is used instead of a private one. The\n"
        "environment variables TASKER_STEPS_ENDPOINT, TASKER_RESULTS_ENDPOINT and TASKER_COMMAND_ENDPOINT\n"
        "replace the sockets.\n"
        "\n"
        "Examples:\n"
        "  tasker dev\n"
        "  eval \"$(tasker dev --env)\" && workers/ruby/exe/tasker-worker     # in a second terminal\n"
        "  tasker health                                                    # in a third");
    context.on_run(dev, [&context, options, environment, directory] {
        if (*environment) return print_environment(context, options->directory, directory->count() > 0);
        return DevSession(context, *options).run();
    });
}

}  // namespace tasker::cli
