// Options that take JSON: as it is, from a file, or from standard input.
#pragma once

#include <string>

#include "orchestrator/templates/exact_json.hpp"

namespace tasker::cli {

/// The JSON text behind an option's value: the value itself, "@FILE", or "-" for standard input; not parsed.
/// Throws CommandError naming `option` when the file cannot be opened (not_found) or read (usage).
std::string read_json_argument(const std::string& argument, const char* option);

/// The JSON in such a text, every digit of its numbers kept. Throws CommandError (usage) naming `option`, and `advice`,
/// when it is none, or gives a key twice.
templates::ExactJson parse_json_argument(const std::string& text, const char* option, const char* advice);

}  // namespace tasker::cli
