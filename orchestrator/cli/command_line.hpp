// The whole `tasker` program except its main().
#pragma once

#include <string>
#include <vector>

namespace tasker::cli {

/// Reads the arguments (without the program's name), runs the chosen command, and returns the exit code. Prints help
/// and errors; with --json errors are JSON too. A failed write of the answer is a failure.
int run_command_line(const std::vector<std::string>& arguments);

}  // namespace tasker::cli
