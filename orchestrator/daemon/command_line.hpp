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
    bool man = false;
};

/// Defines every option; parsing fills `arguments`, which must outlive `app`.
void build_command_line(CLI::App& app, Arguments& arguments);

/// tasker-orchestrator(8): the options, and every setting below them.
std::string orchestrator_man_page(const CLI::App& app);

}  // namespace tasker
