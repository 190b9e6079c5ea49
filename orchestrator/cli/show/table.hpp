// Tables for people: aligned columns, colour where the terminal has it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tasker::cli {

enum class Style { plain, bold, dim, good, warning, bad };

/// `text` in the style's colour, or as it is when `color` is false.
std::string styled(std::string_view text, Style style, bool color);

/// `text` for a terminal: what comes from tasks, workers, files and arguments must neither command it nor turn the
/// order of what it shows. Controls (C0, DEL, C1) and the overrides and isolates of bidirectional text are written as
/// \u202e, bytes that are no UTF-8 as \x9b. Line breaks and tabs become spaces.
std::string printable(std::string_view text);

/// The same for a text of several lines: line breaks and tabs stay, and with `keep_styles` what styled() writes.
std::string printable_lines(std::string_view text, bool keep_styles);

/// The first `columns` of a printable text, with "…" where something was cut.
std::string cut_to(std::string_view text, std::size_t columns);

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

/// Collects rows and renders them with two spaces between columns; the last column is not padded. Columns without any
/// text are left out.
class Table {
  public:
    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

    /// Adds a row; missing cells at its end are empty.
    void add(std::vector<Cell> cells);
    bool empty() const { return rows_.empty(); }
    /// The whole table, every line ended by '\n'; empty without rows. With `columns` the widest texts are cut (…) until
    /// it fits, though none below 8 columns.
    std::string text(bool color, std::size_t columns = 0) const;

  private:
    std::vector<std::size_t> widths(std::size_t columns) const;

    std::vector<Column> columns_;
    std::vector<std::vector<Cell>> rows_;
};

}  // namespace tasker::cli
