// tasker --show-config
#pragma once

#include <CLI/CLI.hpp>

#include "orchestrator/cli/context.hpp"

namespace tasker::cli {

/// Thrown while options are read: the settings are asked for instead of a command, as --version is.
class ShowConfigAsked : public CLI::Success {
  public:
    ShowConfigAsked() : Success("ShowConfigAsked", "", CLI::ExitCodes::Success) {}
};

/// Defines --show-config; after the other global options, which it shows.
void add_show_config(CLI::App& app);

/// Prints the database that commands use, and every setting with where it came from.
ExitCode show_config(const Context& context);

}  // namespace tasker::cli
