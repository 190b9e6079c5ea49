#include "orchestrator/cli/show/answers.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "orchestrator/templates/exact_json.hpp"

namespace tasker::cli {
namespace {

/// The end of the string that starts at `at` (behind its closing quote).
std::size_t string_end(std::string_view text, std::size_t at) {
    for (++at; at < text.size(); ++at) {
        if (text[at] == '\\') {
            ++at;
        } else if (text[at] == '"') {
            return at + 1;
        }
    }
    return text.size();
}

bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

std::size_t skip_space(std::string_view text, std::size_t at) {
    while (at < text.size() && is_space(text[at])) ++at;
    return at;
}

// Numbers beyond double become their digits.
Json with_large_numbers_as_text(const templates::ExactJson& value) {
    if (const auto* items = value.list()) {
        Json list = Json::array();
        for (const auto& item : *items) list.push_back(with_large_numbers_as_text(item));
        return list;
    }
    if (const auto* members = value.object()) {
        Json object = Json::object();
        for (const auto& member : *members) object[member.key] = with_large_numbers_as_text(member.value);
        return object;
    }
    Json plain = Json::parse(value.dump(), nullptr, false);
    return plain.is_discarded() ? Json(value.dump()) : plain;
}

}  // namespace

std::string indent_json(std::string_view text) {
    std::string out;
    std::size_t level = 0;
    const auto new_line = [&] {
        out += '\n';
        out.append(level * 2, ' ');
    };
    for (std::size_t at = skip_space(text, 0); at < text.size(); at = skip_space(text, at)) {
        const char c = text[at];
        if (c == '"') {
            const auto end = string_end(text, at);
            out += text.substr(at, end - at);
            at = end;
        } else if (c == '{' || c == '[') {
            const char closing = c == '{' ? '}' : ']';
            out += c;
            at = skip_space(text, at + 1);
            if (at < text.size() && text[at] == closing) {
                out += closing;
                ++at;
            } else {
                ++level;
                new_line();
            }
        } else if (c == '}' || c == ']') {
            level -= level > 0 ? 1U : 0U;
            new_line();
            out += c;
            ++at;
        } else if (c == ',') {
            out += c;
            new_line();
            ++at;
        } else if (c == ':') {
            out += ": ";
            ++at;
        } else {
            out += c;
            ++at;
        }
    }
    return out;
}

void print_table(const Context& context, const Table& table, std::string_view empty) {
    winsize size{};
    const bool fits =
        !context.wide && context.is_terminal() && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    std::string text = table.text(context.color(), fits ? size.ws_col : 0);
    if (text.empty()) {
        context.print(empty);
        return;
    }
    text.pop_back();
    context.print(text);
}

void print_answer(const Context& context, std::string_view json_text) {
    context.print(indent_json(json_text));
}

Json parse_answer(std::string_view json_text) {
    Json value = Json::parse(json_text, nullptr, false);
    if (!value.is_discarded()) return value;
    constexpr int depth_max = 1000;
    const auto exact = templates::parse_exact_json(json_text, depth_max);
    if (!exact) throw std::runtime_error("the answer cannot be shown in a table; ask again with --json");
    return with_large_numbers_as_text(*exact);
}

std::string cell_text(const Json& value) {
    if (value.is_null()) return "";
    if (value.is_string()) return value.get<std::string>();
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string cell_time(const Json& value) {
    if (!value.is_string()) return "";
    std::string text = value.get<std::string>();
    if (text.size() < 19) return text;
    // The session's time zone is UTC unless somebody set another; the offset is kept whatever it is.
    const auto zone = text.find_first_of("+-Z", 19);
    std::string offset = zone == std::string::npos ? "" : text.substr(zone);
    if (offset == "+00:00" || offset == "-00:00") offset = "Z";
    text[10] = ' ';
    return text.substr(0, 19) + offset;
}

std::string shortened(std::string_view text, std::size_t columns) {
    return cut_to(printable(text), columns);
}

std::string cell_of_list(const Context& context, std::string_view text, std::size_t columns) {
    return context.is_terminal() && !context.wide ? shortened(text, columns) : printable(text);
}

Style style_of_state(std::string_view state) {
    constexpr std::array<std::pair<std::string_view, Style>, 24> styles = {{
        {"complete", Style::good},
        {"completed", Style::good},
        {"resolved_manually", Style::good},
        {"consistent", Style::good},
        {"serving", Style::good},
        {"ready", Style::good},
        {"applied", Style::good},
        {"in_progress", Style::bold},
        {"published", Style::bold},
        {"executing", Style::bold},
        {"waiting_for_retry", Style::warning},
        {"partially_failed", Style::warning},
        {"suspect", Style::warning},
        {"draining", Style::warning},
        {"starting", Style::warning},
        {"error", Style::bad},
        {"failed", Style::bad},
        {"timed_out", Style::bad},
        {"discrepancy", Style::bad},
        {"lost", Style::bad},
        {"cancelled", Style::dim},
        {"left", Style::dim},
        {"gone", Style::dim},
        {"stopped", Style::bad},
    }};
    const auto found =
        std::find_if(styles.begin(), styles.end(), [&](const auto& s) { return s.first == state; });
    return found == styles.end() ? Style::plain : found->second;
}

Cell state_cell(const Json& value) {
    const std::string text = cell_text(value);
    return {text, style_of_state(text)};
}

std::string duration_text(double seconds) {
    if (seconds < 0) seconds = 0;
    if (seconds < 0.995) return fmt::format("{} ms", std::llround(seconds * 1000));
    if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
    const auto whole = static_cast<std::int64_t>(std::llround(seconds));
    if (whole < 60) return fmt::format("{} s", whole);
    if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
    if (whole < 86'400) return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
    return fmt::format("{} d {} h", whole / 86'400, whole % 86'400 / 3600);
}

std::string count_text(std::int64_t count, std::string_view singular, std::string_view plural) {
    return fmt::format("{} {}", count, count == 1 ? singular : plural);
}

}  // namespace tasker::cli
