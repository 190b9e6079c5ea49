// From the JSON answers of api/query to what a terminal shows.
#pragma once

#include <string>
#include <string_view>

#include "orchestrator/cli/context.hpp"
#include "orchestrator/cli/show/table.hpp"

namespace tasker::cli {

/// JSON text on several lines, two spaces per level. Only white space between tokens changes, so numbers stay
/// as exact as they came.
std::string indent_json(std::string_view text);

/// Prints an answer of api/query for --json.
void print_answer(const Context& context, std::string_view json_text);

/// Prints a table, cut to the width of the terminal unless --wide; without rows the text `empty`.
void print_table(const Context& context, const Table& table, std::string_view empty);

/// The same answer as values, for tables; numbers beyond double are texts. Throws std::runtime_error when it is no JSON.
Json parse_answer(std::string_view json_text);

/// A value in a table cell: texts as they are, null as "", everything else as JSON.
std::string cell_text(const Json& value);

/// A timestamp of the database as local-looking "2025-06-30 12:00:00Z"; "" for null.
std::string cell_time(const Json& value);

/// At most `columns` wide, with "…" where something was cut. Control characters are made harmless first.
std::string shortened(std::string_view text, std::size_t columns);

/// A cell of a list: cut to `columns` where a terminal is narrow; whole in a pipe or a file, and with --wide.
std::string cell_of_list(const Context& context, std::string_view text, std::size_t columns);

/// The colour of a state word of tasks, steps, batches, sessions and verdicts.
Style style_of_state(std::string_view state);
Cell state_cell(const Json& value);

/// "40 ms", "1.4 s", "12 s", "3 min 5 s", "2 h 10 min", "3 d 4 h".
std::string duration_text(double seconds);

/// "1 step", "3 steps".
std::string count_text(std::int64_t count, std::string_view singular, std::string_view plural);

}  // namespace tasker::cli
