// tasker-orchestrator: parse, validate, run.
#include <sys/resource.h>

#include <cstdio>
#include <string>

#include "orchestrator/daemon/command_line.hpp"
#include "orchestrator/daemon/log_settings.hpp"
#include "orchestrator/daemon/service.hpp"
#include "orchestrator/daemon/signals.hpp"
#include "orchestrator/daemon/start_templates.hpp"
#include "orchestrator/options/load.hpp"
#include "orchestrator/options/settings.hpp"
#include "orchestrator/options/shown.hpp"
#include "orchestrator/util/log.hpp"

namespace {

using namespace tasker;

// Each worker costs a few descriptors, and the usual soft limit (1024) is meant for programs that use
// select(). libzmq ends the process when an ipc endpoint can accept no more.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app;
    Arguments arguments;
    build_command_line(app, arguments);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (app.exit(error) == 0) return 0;
        if (const auto hint = likely_option(app); !hint.empty()) std::fprintf(stderr, "%s\n", hint.c_str());
        return static_cast<int>(ServiceExit::bad_settings);
    }
    if (arguments.help_settings || arguments.man) {
        const std::string text = arguments.man ? orchestrator_man_page(app) : options::settings_reference(80);
        std::fputs(text.c_str(), stdout);
        return 0;
    }
    const auto loaded = options::load_options(arguments.config);
    if (!loaded) {
        for (const auto& problem : loaded.error()) std::fprintf(stderr, "%s\n", to_string(problem).c_str());
        std::fputs(
            "the settings are not usable, nothing was started; see tasker-orchestrator --help-settings\n",
            stderr);
        return static_cast<int>(ServiceExit::bad_settings);
    }
    if (arguments.show_config) {
        const std::string text = arguments.json ? options::shown_settings_json(*loaded).dump(2) + "\n"
                                                : options::shown_settings(*loaded);
        return std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0
                   ? static_cast<int>(ServiceExit::failed)
                   : 0;
    }
    configure_log(loaded->options.log);
    raise_descriptor_limit();
    for (const auto& warning : loaded->warnings) util::log::warning(to_string(warning));
    if (arguments.check_config) {
        if (!StartTemplates(loaded->options).check()) return static_cast<int>(ServiceExit::bad_settings);
        std::puts("the settings are usable");
        return 0;
    }
    if (loaded->options.database.url.empty()) {
        std::fputs(
            "no database is configured: set TASKER_DATABASE_URL or database.url in the settings file, or use "
            "`tasker dev`, which brings its own\n",
            stderr);
        return static_cast<int>(ServiceExit::bad_settings);
    }
    block_stop_signals();
    return static_cast<int>(run_service(loaded->options));
}
