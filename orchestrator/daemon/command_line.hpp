// The options of tasker-orchestrator, and its man page made from them.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>

namespace tasker {

struct Arguments {
    std::optional<std::filesystem::path> config;
    bool help_settings = false;
    bool check_config = false;
    bool show_config = false;
    bool json = false;
    bool man = false;
};

/// Defines every option; parsing fills `arguments`, which must outlive `app`.
void build_command_line(CLI::App& app, Arguments& arguments);

/// "did you mean --check-config?" when a word that nothing takes is nearly an option; else "".
std::string likely_option(const CLI::App& app);

/// tasker-orchestrator(8): the options, and every setting below them.
std::string orchestrator_man_page(const CLI::App& app);

}  // namespace tasker
