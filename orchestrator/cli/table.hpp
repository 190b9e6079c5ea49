// Tables for people: aligned columns, colour where the terminal has it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tasker::cli {

enum class Style { plain, bold, dim, good, warning, bad };

/// `text` in the style's colour, or as it is when `color` is false.
std::string styled(std::string_view text, Style style, bool color);

/// `text` with control characters (escape sequences included) made harmless and line breaks turned into
/// spaces: what comes from tasks and workers must not command the terminal.
std::string printable(std::string_view text);

/// Columns a terminal needs for `text` (code points; the project's own output has no wide ones).
std::size_t display_width(std::string_view text);

struct Cell {
    std::string text;
    Style style = Style::plain;

    Cell(std::string value, Style cell_style = Style::plain) : text(std::move(value)), style(cell_style) {}
    Cell(const char* value, Style cell_style = Style::plain) : text(value), style(cell_style) {}
};

enum class Align { left, right };
struct Column {
    std::string title;
    Align align = Align::left;
};

/// Collects rows and renders them with two spaces between columns; the last column is not padded.
class Table {
  public:
    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

    /// Adds a row; missing cells at its end are empty.
    void add(std::vector<Cell> cells);
    bool empty() const { return rows_.empty(); }
    /// The whole table, every line ended by '\n'. The heading is left out when there are no rows.
    std::string text(bool color) const;

  private:
    std::vector<Column> columns_;
    std::vector<std::vector<Cell>> rows_;
};

}  // namespace tasker::cli
