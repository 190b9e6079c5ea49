// Completion scripts for shells, made from a command's definitions. They need nothing of the program while
// the user types: all words stand in the script.
#pragma once

#include <string>
#include <string_view>

#include "orchestrator/cli/manual/command_tree.hpp"

namespace tasker::cli {

enum class Shell { bash, zsh, fish };

/// The script for all of `root`. Commands and options are completed at each place, file names where an option
/// or argument is a file.
std::string completion_script(const CommandText& root, Shell shell);

}  // namespace tasker::cli
