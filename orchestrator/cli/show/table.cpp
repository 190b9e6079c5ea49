#include "orchestrator/cli/show/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

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

constexpr std::size_t kGap = 2;
constexpr std::size_t kLeastWidth = 8;
constexpr std::string_view kEndOfStyle = "\x1b[0m";

/// How long the escape sequence of styled() is that `text` begins with; 0 when it begins otherwise.
std::size_t style_length(std::string_view text) {
    if (text.starts_with(kEndOfStyle)) return kEndOfStyle.size();
    for (const Style style : {Style::bold, Style::dim, Style::good, Style::warning, Style::bad}) {
        const std::string_view escape = escape_of(style);
        if (text.starts_with(escape)) return escape.size();
    }
    return 0;
}

struct Character {
    std::uint32_t code = 0;
    std::size_t bytes = 0;  // 0: no UTF-8
};

/// The first character of a text that is not empty.
Character first_character(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text.front());
    if (lead < 0x80) return {lead, 1};
    const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    // 80 to bf continue a character, c0, c1 and f5 to ff begin none.
    if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {lead, 0};
    std::uint32_t code = lead & (0x7fU >> bytes);
    for (std::size_t at = 1; at < bytes; ++at) {
        const auto next = static_cast<unsigned char>(text[at]);
        if ((next & 0xc0U) != 0x80U) return {lead, 0};
        code = code << 6U | (next & 0x3fU);
    }
    return {code, bytes};
}

bool commands_terminal(std::uint32_t code) {
    const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    const bool turns_direction = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
    return control || turns_direction;
}

/// Moves the first character of `text` to `clean`, escaped where it must be.
void take_character(std::string_view& text, std::string& clean) {
    const Character first = first_character(text);
    if (first.bytes == 0) {
        clean += fmt::format("\\x{:02x}", first.code);
    } else if (commands_terminal(first.code)) {
        clean += fmt::format("\\u{:04x}", first.code);
    } else {
        clean += text.substr(0, first.bytes);
    }
    text.remove_prefix(std::max<std::size_t>(first.bytes, 1));
}

}  // namespace

std::string styled(std::string_view text, Style style, bool color) {
    if (!color || style == Style::plain) return std::string(text);
    return escape_of(style) + std::string(text) + std::string(kEndOfStyle);
}

std::string printable(std::string_view text) {
    std::string clean;
    clean.reserve(text.size());
    while (!text.empty()) {
        const bool space = text.front() == '\n' || text.front() == '\r' || text.front() == '\t';
        if (space) {
            clean += ' ';
            text.remove_prefix(1);
        } else {
            take_character(text, clean);
        }
    }
    return clean;
}

std::string printable_lines(std::string_view text, bool keep_styles) {
    std::string clean;
    clean.reserve(text.size());
    while (!text.empty()) {
        std::size_t kept = text.front() == '\n' || text.front() == '\t' ? 1 : 0;
        if (kept == 0 && keep_styles) kept = style_length(text);
        if (kept == 0) {
            take_character(text, clean);
        } else {
            clean += text.substr(0, kept);
            text.remove_prefix(kept);
        }
    }
    return clean;
}

std::size_t display_width(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
        return (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
    }));
}

std::string cut_to(std::string_view text, std::size_t columns) {
    if (display_width(text) <= columns) return std::string(text);
    std::size_t at = 0;
    for (std::size_t width = 0; at < text.size(); ++at) {
        const bool starts = (static_cast<unsigned char>(text[at]) & 0xc0U) != 0x80U;
        if (starts && ++width >= columns) break;
    }
    return std::string(text.substr(0, at)) + "…";
}

void Table::add(std::vector<Cell> cells) {
    CHECK(cells.size() <= columns_.size(), "a row has more cells than the table has columns");
    for (Cell& cell : cells) cell.text = printable(cell.text);
    while (cells.size() < columns_.size()) cells.emplace_back("");
    rows_.push_back(std::move(cells));
}

std::vector<std::size_t> Table::widths(std::size_t columns) const {
    std::vector<std::size_t> widths;
    for (std::size_t index = 0; index < columns_.size(); ++index) {
        std::size_t width = 0;
        for (const auto& row : rows_) width = std::max(width, display_width(row[index].text));
        if (width > 0) width = std::max(width, display_width(columns_[index].title));
        widths.push_back(width);
    }
    if (columns == 0) return widths;
    const auto total = [&] {
        std::size_t sum = 0;
        for (const auto width : widths) sum += width > 0 ? width + kGap : 0;
        return sum > 0 ? sum - kGap : 0;
    };
    // Numbers and times are of no use when they are cut.
    while (total() > columns) {
        std::size_t widest = widths.size();
        for (std::size_t index = 0; index < widths.size(); ++index) {
            const std::size_t least = std::max(kLeastWidth, display_width(columns_[index].title));
            const bool cuttable = columns_[index].align == Align::left && widths[index] > least;
            if (cuttable && (widest == widths.size() || widths[index] > widths[widest])) widest = index;
        }
        if (widest == widths.size()) break;
        --widths[widest];
    }
    return widths;
}

std::string Table::text(bool color, std::size_t columns) const {
    if (rows_.empty()) return {};
    const auto widths = this->widths(columns);
    std::string out;
    const auto write_row = [&](const auto& cell_of) {
        std::string padding;
        for (std::size_t index = 0; index < columns_.size(); ++index) {
            if (widths[index] == 0) continue;
            const Cell cell = cell_of(index);
            const std::string text = cut_to(cell.text, widths[index]);
            const std::string room(widths[index] - display_width(text), ' ');
            out += padding;
            if (columns_[index].align == Align::right) out += room;
            out += styled(text, cell.style, color);
            padding = columns_[index].align == Align::left ? room : "";
            padding.append(kGap, ' ');
        }
        out += '\n';
    };
    write_row([&](std::size_t index) { return Cell(columns_[index].title, Style::bold); });
    for (const auto& row : rows_) write_row([&](std::size_t index) { return row[index]; });
    return out;
}

}  // namespace tasker::cli
