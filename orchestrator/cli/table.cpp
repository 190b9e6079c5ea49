#include "orchestrator/cli/table.hpp"

#include <algorithm>

#include "orchestrator/util/check.hpp"

namespace tasker::cli {
namespace {

const char* escape_of(Style style) {
    switch (style) {
        case Style::plain:
            return "";
        case Style::bold:
            return "\x1b[1m";
        case Style::dim:
            return "\x1b[2m";
        case Style::good:
            return "\x1b[32m";
        case Style::warning:
            return "\x1b[33m";
        case Style::bad:
            return "\x1b[31m";
    }
    return "";
}

}  // namespace

std::string styled(std::string_view text, Style style, bool color) {
    if (!color || style == Style::plain) return std::string(text);
    return escape_of(style) + std::string(text) + "\x1b[0m";
}

std::string printable(std::string_view text) {
    std::string clean;
    clean.reserve(text.size());
    for (std::size_t at = 0; at < text.size(); ++at) {
        const auto byte = static_cast<unsigned char>(text[at]);
        const bool c1 =
            byte == 0xc2 && at + 1 < text.size() && static_cast<unsigned char>(text[at + 1]) < 0xa0;
        if (byte == '\n' || byte == '\r' || byte == '\t') {
            clean += ' ';
        } else if (byte < 0x20 || byte == 0x7f) {
            clean += '?';
        } else if (c1) {
            // U+0080–U+009F: the other way to write an escape sequence.
            clean += '?';
            ++at;
        } else {
            clean += text[at];
        }
    }
    return clean;
}

std::size_t display_width(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
        return (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
    }));
}

void Table::add(std::vector<Cell> cells) {
    CHECK(cells.size() <= columns_.size(), "a row has more cells than the table has columns");
    for (Cell& cell : cells) cell.text = printable(cell.text);
    while (cells.size() < columns_.size()) cells.emplace_back("");
    rows_.push_back(std::move(cells));
}

std::string Table::text(bool color) const {
    if (rows_.empty()) return {};
    std::vector<std::size_t> widths;
    for (std::size_t index = 0; index < columns_.size(); ++index) {
        std::size_t width = display_width(columns_[index].title);
        for (const auto& row : rows_) width = std::max(width, display_width(row[index].text));
        widths.push_back(width);
    }
    std::string out;
    const auto write = [&](std::size_t index, std::string_view text, Style style) {
        const std::string padding(widths[index] - display_width(text), ' ');
        const bool last = index + 1 == columns_.size();
        if (columns_[index].align == Align::right) out += padding;
        out += styled(text, style, color);
        if (columns_[index].align == Align::left && !last) out += padding;
        out += last ? "\n" : "  ";
    };
    for (std::size_t index = 0; index < columns_.size(); ++index)
        write(index, columns_[index].title, Style::bold);
    for (const auto& row : rows_) {
        for (std::size_t index = 0; index < row.size(); ++index)
            write(index, row[index].text, row[index].style);
    }
    return out;
}

}  // namespace tasker::cli
