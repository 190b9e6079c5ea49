// What is wrong with a command line, in words that lead on: the word itself, what may have been meant, what there is.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace tasker::cli {

struct ParseProblem {
    std::string message;
    std::string advice;
};

/// Explains why `app` could not read its arguments; `error` is what its parse threw. Never empty.
ParseProblem explain_parse_error(const CLI::App& app, const CLI::ParseError& error);

/// The words that call a command, without the program: "task show". Empty for the program itself.
std::string command_path(const CLI::App& command);

}  // namespace tasker::cli
