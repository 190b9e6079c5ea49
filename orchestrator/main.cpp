// tasker-orchestrator: parse, validate, run.
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>

#include "orchestrator/options/load.hpp"
#include "orchestrator/options/settings.hpp"
#include "orchestrator/service.hpp"
#include "orchestrator/util/log.hpp"

namespace {

using namespace tasker;

constexpr const char* kFooter = R"(Everything runs on defaults; only the database has to be named:
  TASKER_DATABASE_URL=postgresql://me@localhost/tasker tasker migrate up
  TASKER_DATABASE_URL=postgresql://me@localhost/tasker tasker-orchestrator
Or let `tasker dev` bring a private PostgreSQL and start this for you.

Signals: SIGTERM and SIGINT stop in order; killing it at any moment loses nothing.
Exit codes: 0 stopped, 1 failed, 2 bad usage, settings or endpoint, 3 database schema does not fit (tasker migrate up),
  5 another orchestrator has taken over.
A second one on the same database waits as a standby and takes over when the first dies or hangs. Give it endpoints of
its own, and workers both.)";

void configure_log(const options::Log& log) {
    // The enumerations have the same members in the same order.
    util::log::configure(static_cast<util::log::Level>(log.level),
                         static_cast<util::log::Format>(log.format));
}

void block_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
}

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
    CLI::App app{
        "tasker-orchestrator: decides which steps may run, publishes them to workers, records what becomes "
        "of "
        "them in PostgreSQL."};
    app.footer(kFooter);
    app.set_version_flag("--version", "tasker-orchestrator 0.1.0");
    std::optional<std::filesystem::path> config;
    bool help_settings = false;
    bool check_only = false;
    app.add_option("--config", config,
                   "settings file (config/orchestrator.yaml); a zeromq.yaml beside it is read too");
    app.add_flag("--help-settings", help_settings,
                 "print every setting with unit, default, limits and variable");
    app.add_flag("--check-config", check_only, "check the settings and stop");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : static_cast<int>(ServiceExit::bad_settings);
    }
    if (help_settings) {
        std::fputs(options::settings_reference().c_str(), stdout);
        return 0;
    }
    const auto loaded = options::load_options(config);
    if (!loaded) {
        for (const auto& problem : loaded.error()) std::fprintf(stderr, "%s\n", to_string(problem).c_str());
        std::fputs(
            "the settings are not usable, nothing was started; see tasker-orchestrator --help-settings\n",
            stderr);
        return static_cast<int>(ServiceExit::bad_settings);
    }
    configure_log(loaded->options.log);
    raise_descriptor_limit();
    for (const auto& warning : loaded->warnings) util::log::warning(to_string(warning));
    if (check_only) {
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
    block_signals();
    return static_cast<int>(run_service(loaded->options));
}
