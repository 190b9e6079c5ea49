#include "orchestrator/daemon/command_line.hpp"

#include "orchestrator/cli/manual/man_page.hpp"
#include "orchestrator/options/settings.hpp"
#include "orchestrator/util/similar.hpp"
#include "orchestrator/util/version.hpp"

namespace tasker {
namespace {

constexpr const char* kName = "tasker-orchestrator";

constexpr const char* kDescription =
    "decides which steps may run, sends them to workers, records their results";

constexpr const char* kFooter = R"(Everything runs on defaults; only the database has to be named:
  export TASKER_DATABASE_URL=postgresql://me@localhost/tasker
  tasker migrate up
  tasker-orchestrator
Or let `tasker dev` bring a private PostgreSQL and start this for you.

Signals: SIGTERM and SIGINT stop in order; killing it at any moment loses
nothing.

Exit codes:
  0  stopped
  1  failed
  2  bad usage, settings, template or endpoint
  3  the database's schema does not fit (tasker migrate up)
  5  another orchestrator has taken over

A second one on the same database waits as a standby and takes over when the
first dies or hangs. Give it endpoints of its own, and workers both.)";

}  // namespace

void build_command_line(CLI::App& app, Arguments& arguments) {
    app.name(kName);
    app.description(kDescription);
    app.footer(kFooter);
    app.set_version_flag("--version", util::version_text(kName));
    app.add_option("--config", arguments.config, "settings file; a zeromq.yaml beside it is read too")
        ->type_name("FILE");
    app.add_flag("--help-settings", arguments.help_settings,
                 "explain every setting: default, limits, variable");
    app.add_flag("--check-config", arguments.check_config, "check settings and templates, start nothing");
    auto* show = app.add_flag("--show-config", arguments.show_config,
                              "print each setting in force and where it is from");
    app.add_flag("--json", arguments.json, "with --show-config: as JSON")->needs(show);
    // For the build, which installs the page.
    app.add_flag("--man", arguments.man, "print the manual page")->group("");
}

std::string likely_option(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options()) {
        for (const auto& name : option->get_lnames()) names.push_back("--" + name);
    }
    for (const auto& word : app.remaining()) {
        if (!word.starts_with('-')) continue;
        if (const auto near = util::most_similar(word.substr(0, word.find('=')), names))
            return "did you mean " + *near + "?";
    }
    return "";
}

std::string orchestrator_man_page(const CLI::App& app) {
    cli::CommandText command = cli::read_command_tree(app);
    command.footer += "\n\n" + options::settings_reference(73);
    return cli::man_page(command, {"8", std::string(util::version()), {"tasker(1)"}});
}

}  // namespace tasker
