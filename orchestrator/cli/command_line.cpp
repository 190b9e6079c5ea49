#include "orchestrator/cli/command_line.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/parse_problem.hpp"
#include "orchestrator/cli/show_config.hpp"

namespace tasker::cli {
namespace {

/// Whether --json stands among the arguments: asked where they could not be read.
bool asks_for_json(const std::vector<std::string>& arguments) {
    const auto end = std::find(arguments.begin(), arguments.end(), "--");
    return std::find(arguments.begin(), end, "--json") != end;
}

ExitCode parse_and_run(CLI::App& app, Context& context, const std::vector<std::string>& arguments) {
    try {
        // CLI11 takes them from the back.
        app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const ShowConfigAsked&) {
        return context.run([&context] { return show_config(context); });
    } catch (const CLI::Success& asked) {
        // Help and version.
        app.exit(asked);
        std::cout.flush();
        return ExitCode::ok;
    } catch (const CLI::ParseError& error) {
        const ParseProblem problem = explain_parse_error(app, error);
        context.json = asks_for_json(arguments);
        context.print_error(ExitCode::usage, problem.message, problem.advice);
        return ExitCode::usage;
    }
    return context.run();
}

}  // namespace

int run_command_line(const std::vector<std::string>& arguments) {
    Context context;
    CLI::App app;
    app.name("tasker");
    build_command_line(app, context);
    if (arguments.empty()) {
        std::printf("%s", app.help().c_str());
        return static_cast<int>(ExitCode::usage);
    }
    ExitCode code = parse_and_run(app, context, arguments);
    errno = 0;
    if ((std::fflush(stdout) != 0 || std::ferror(stdout) != 0 || !std::cout) && code == ExitCode::ok) {
        context.print_error(ExitCode::failed, "the answer could not be written to standard output",
                            errno != 0 ? std::strerror(errno) : "");
        code = ExitCode::failed;
    }
    return static_cast<int>(code);
}

}  // namespace tasker::cli
