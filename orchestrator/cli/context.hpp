// What every command shares: the global options, the way to the database, and how answers are printed.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "orchestrator/cli/database_choice.hpp"
#include "orchestrator/cli/exit_code.hpp"
#include "orchestrator/options/load.hpp"
#include "orchestrator/postgres/connection.hpp"

namespace tasker::cli {

using Json = nlohmann::ordered_json;

/// Global options and services. Commands hold a reference; it lives as long as main().
class Context {
  public:
    // Global options, valid once an action runs.
    std::string database_option;
    std::string config_option;
    bool json = false;
    bool no_color = false;
    bool wide = false;  // tables are not cut to the terminal

    /// Makes `action` what `command` does. It runs after the whole command line was read, so that global
    /// options may stand anywhere. It returns the exit code or throws CommandError or store::DatabaseError.
    void on_run(CLI::App* command, std::function<ExitCode()> action);
    /// Runs the chosen action; turns what it throws into a text on stderr and an exit code.
    ExitCode run();
    /// The same with this action.
    ExitCode run(const std::function<ExitCode()>& action);

    /// The database's URL and where it was found (see database_choice.hpp). Throws CommandError when none is
    /// known.
    DatabaseChoice database() const;
    /// `database_url` with database.connect_timeout_ms of the settings. Settings that were named with
    /// --config must be good; others that are not leave the default.
    postgres::Address address(const std::string& database_url) const;
    /// A connection to it. Throws CommandError (database_unreachable) with what to do.
    /// With a lock_timeout, waiting for a lock ends after it; a limit in the URL wins.
    postgres::Connection connect(std::optional<std::chrono::milliseconds> lock_timeout = std::nullopt) const;
    /// The same, with the schema checked: throws CommandError (schema_mismatch) naming the command that
    /// helps.
    postgres::Connection connect_checked() const;
    /// The settings from --config, or from config/orchestrator.yaml where it exists, with the environment
    /// applied. Throws CommandError (usage) listing every problem.
    const options::Options& settings() const { return loaded_settings().options; }
    /// The same, with where each value came from.
    const options::LoadedOptions& loaded_settings() const;

    /// Whether to use colour and redraw lines on standard output.
    bool color() const;
    bool is_terminal() const;
    /// Prints one JSON document on standard output.
    void print_json(const Json& document) const;
    /// Prints a line, or several, on standard output: as they are with --json, else with everything escaped that a
    /// terminal would obey. Throws CommandError (failed) when that cannot be written.
    void print(std::string_view text) const;
    /// A remark for people on standard error; not printed with --json.
    void remark(std::string_view line) const;

    /// Loads all templates of a directory into the database and returns a line about it ("4 templates, 1
    /// new"). Set by the `template` commands; `tasker dev` calls it when it is set. Throws CommandError on
    /// bad templates.
    std::function<std::string(const std::string& database_url, const std::string& directory)> load_templates;

    /// Prints an error on standard error: as text, or as {"error": {code, message, advice}} with --json.
    void print_error(ExitCode code, const std::string& message, const std::string& advice) const;

  private:
    std::function<ExitCode()> action_;
    void print_refusal(const postgres::DatabaseError& error) const;
    void write(std::string_view line) const;

    mutable std::optional<options::LoadedOptions> settings_;
    mutable std::string read_only_;  // why the database last connected to takes no writes
};

}  // namespace tasker::cli
