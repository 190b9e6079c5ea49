#include "orchestrator/cli/numbers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>

#include "orchestrator/cli/show/table.hpp"

namespace tasker::cli {
namespace {

constexpr std::array<std::string_view, 5> kWholeNames = {"BATCH_ID", "ID", "ID…", "N", "STEP_ID"};
constexpr std::string_view kSecondsName = "SECONDS";
constexpr std::array<std::string_view, 27> kTextNames = {"@FILE|-|JSON",
                                                         "COMMAND",
                                                         "DIR",
                                                         "FILE",
                                                         "FILE|DIR",
                                                         "ID|UUID",
                                                         "JSON|@FILE|-",
                                                         "JSON|@FILE|-|@late",
                                                         "KEY",
                                                         "NAME|ID",
                                                         "NS",
                                                         "NS/NAME[:VERSION]",
                                                         "REASON",
                                                         "SHELL",
                                                         "STATE",
                                                         "TAG",
                                                         "TEXT",
                                                         "TIME",
                                                         "URL",
                                                         "WORKER|SESSION",
                                                         "WORKER",
                                                         "NAME",
                                                         "FILE|NS/NAME[:VERSION]",
                                                         "VERSION",
                                                         "ID…|-",
                                                         "CLASS",
                                                         "PATH=VALUE"};

template <typename List>
bool holds(const List& list, std::string_view word) {
    return std::find(list.begin(), list.end(), word) != list.end();
}

bool all_digits(std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool has_leading_zero(std::string_view digits) {
    return digits.size() > 1 && digits.front() == '0';
}

std::string quoted(std::string_view text) {
    return fmt::format("\"{}\"", printable(text.substr(0, 60)));
}

}  // namespace

std::string whole_number_problem(std::string_view text) {
    const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
    if (!all_digits(digits)) return quoted(text) + " is no whole number: write decimal digits";
    if (has_leading_zero(digits)) return quoted(text) + " has a leading zero: write the number without it";
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return quoted(text) + " is too large";
    return {};
}

std::string seconds_problem(std::string_view text) {
    const auto point = text.find('.');
    const std::string_view whole = text.substr(0, point);
    const bool fraction = point == std::string_view::npos || all_digits(text.substr(point + 1));
    if (!all_digits(whole) || !fraction) return quoted(text) + " is no number of seconds: write 30 or 0.5";
    if (has_leading_zero(whole)) return quoted(text) + " has a leading zero: write the number without it";
    if (text.size() > 20) return quoted(text) + " is too long";
    return {};
}

std::optional<double> span_seconds(const std::string& text) {
    const auto last = text.find_last_of("0123456789");
    if (last == std::string::npos || !seconds_problem(text.substr(0, last + 1)).empty()) return std::nullopt;
    const std::string unit = text.substr(last + 1);
    const double factor = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : unit == "d" ? 86'400 : 0;
    constexpr double seconds_max = 10.0 * 366 * 86'400;
    const double seconds = std::strtod(text.c_str(), nullptr) * factor;
    if (factor == 0 || seconds > seconds_max) return std::nullopt;
    return seconds;
}

ValueKind value_kind(const CLI::Option& option) {
    if (option.get_expected_max() == 0 || option.get_type_size_max() == 0) return ValueKind::none;
    const std::string name = option.get_type_name();
    if (holds(kWholeNames, name)) return ValueKind::whole;
    if (name == kSecondsName) return ValueKind::seconds;
    return holds(kTextNames, name) ? ValueKind::text : ValueKind::unknown;
}

void require_decimal_numbers(CLI::App& app) {
    // transform() puts it before a range's check, which would read octal; nothing is transformed.
    const CLI::Validator whole([](std::string& text) { return whole_number_problem(text); }, "", "decimal");
    const CLI::Validator seconds([](std::string& text) { return seconds_problem(text); }, "", "decimal");
    for (CLI::Option* option : app.get_options()) {
        const ValueKind kind = value_kind(*option);
        if (kind == ValueKind::whole) option->transform(whole);
        if (kind == ValueKind::seconds) option->transform(seconds);
    }
    for (CLI::App* command : app.get_subcommands({})) require_decimal_numbers(*command);
}

}  // namespace tasker::cli
