// Numbers of the command line are decimal, as written. (CLI11 alone reads 010 as eight, 0x9 as nine, and takes
// "nan" for a number of seconds.)
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace tasker::cli {

/// What an option's value is, by its type name.
enum class ValueKind {
    none,     // a flag
    whole,    // ID, N, …
    seconds,  // SECONDS: with a fraction if need be
    text,     // anything else that is known
    unknown   // a type name that this file does not list: a fault of the program, and a test finds it
};
ValueKind value_kind(const CLI::Option& option);

/// Gives every option and argument of `app` and its subcommands that takes a number a check that refuses all but
/// plain decimal digits in their range. Called once, when all commands are defined.
void require_decimal_numbers(CLI::App& app);

/// "90s", "5m", "2h", "1d" in seconds; nothing for other texts, and for more than ten years.
std::optional<double> span_seconds(const std::string& text);

/// Why `text` is no such number, or an empty text when it is one.
std::string whole_number_problem(std::string_view text);
std::string seconds_problem(std::string_view text);

}  // namespace tasker::cli
