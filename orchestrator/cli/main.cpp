// The `tasker` command line: reads the arguments, runs the chosen command, ends with its exit code.
#include <cstdio>
#include <cstdlib>

#include "orchestrator/cli/command_groups.hpp"

int main(int argc, char** argv) {
    using tasker::cli::ExitCode;
    tasker::cli::Context context;
    CLI::App app;
    app.name("tasker");
    tasker::cli::build_command_line(app, context);
    if (argc == 1) {
        std::printf("%s", app.help().c_str());
        return static_cast<int>(ExitCode::usage);
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        // Help and version come this way too, with exit code 0.
        return static_cast<int>(app.exit(error) == 0 ? ExitCode::ok : ExitCode::usage);
    }
    return static_cast<int>(context.run());
}
