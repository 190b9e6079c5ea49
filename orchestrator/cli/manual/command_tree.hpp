// A command line as plain values, read from its CLI11 definitions: the one source of man pages and
// completions.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace tasker::cli {

/// One option, flag or positional argument. `names` are as typed ("--json", "-h"); a positional has one name
/// without dashes. `type` is what stands for the value ("FILE", "NS/NAME[:VERSION]"); empty: a flag.
struct OptionText {
    std::vector<std::string> names;
    std::string type;
    std::string description;
    bool positional = false;
    bool required = false;

    bool takes_value() const { return !type.empty(); }
    /// Completed with file names: its type names a file or a directory.
    bool names_a_file() const;
};

/// A command with what stands below it, in the order of --help. `path` is what is typed, "tasker task
/// submit".
struct CommandText {
    std::string name;
    std::string path;
    std::string description;
    std::string footer;
    std::vector<OptionText> options;  // positionals first
    std::vector<CommandText> commands;
};

/// Reads `app` and everything below it, except what --help hides.
CommandText read_command_tree(const CLI::App& app);

/// The first line of a description, without its full stop: for lists.
std::string summary(const std::string& description);

}  // namespace tasker::cli
