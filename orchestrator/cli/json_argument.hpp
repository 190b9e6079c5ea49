// Options that take JSON: as it is, from a file, or from standard input.
#pragma once

#include <string>

namespace tasker::cli {

/// The JSON text behind an option's value: the value itself, "@FILE", or "-" for standard input; not parsed.
/// Throws CommandError naming `option` when the file cannot be opened (not_found) or read (usage).
std::string read_json_argument(const std::string& argument, const char* option);

}  // namespace tasker::cli
