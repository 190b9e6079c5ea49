#include "orchestrator/options/yaml/reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <system_error>

namespace tasker::yaml {

namespace {

// Beyond this many problems a file is not a typo any more, and guessing for each would only take time.
constexpr std::size_t kSuggestionsMax = 100;

enum class Scalar { null, boolean, integer, number, not_finite, text };

bool all_digits(std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_decimal(std::string_view text) {
    const std::size_t exponent = text.find_first_of("eE");
    if (exponent != std::string_view::npos) {
        std::string_view power = text.substr(exponent + 1);
        if (!power.empty() && (power[0] == '+' || power[0] == '-')) power.remove_prefix(1);
        if (!all_digits(power)) return false;
        text = text.substr(0, exponent);
    }
    const std::size_t point = text.find('.');
    if (point == std::string_view::npos) return all_digits(text);
    const std::string_view whole = text.substr(0, point);
    const std::string_view fraction = text.substr(point + 1);
    return (whole.empty() || all_digits(whole)) && (fraction.empty() || all_digits(fraction)) &&
           !(whole.empty() && fraction.empty());
}

std::string_view without_sign(std::string_view text) {
    if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.remove_prefix(1);
    return text;
}

// The YAML 1.2 core schema, except that 0x and 0o forms stay text: JSON has none and nobody needs them here.
Scalar classify(std::string_view text) {
    if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
        return Scalar::null;
    if (text == "true" || text == "True" || text == "TRUE" || text == "false" || text == "False" ||
        text == "FALSE") {
        return Scalar::boolean;
    }
    const std::string_view digits = without_sign(text);
    if (all_digits(digits)) return Scalar::integer;
    if (is_decimal(digits)) return Scalar::number;
    for (const std::string_view word : {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"}) {
        if (digits == word) return Scalar::not_finite;
    }
    return Scalar::text;
}

Scalar type_of(const YamlNode& node) {
    if (node.kind == YamlNode::Kind::null) return Scalar::null;
    return node.quoted ? Scalar::text : classify(node.text);
}

// Parses what classify() called integer or number; nothing when it does not fit the type.
template <typename Value>
std::optional<Value> parse_number(std::string_view text) {
    if (!text.empty() && text[0] == '+') text.remove_prefix(1);
    Value value{};
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// The digits of a number without sign, point, exponent and the zeros at either end.
std::string significant_digits(std::string_view text) {
    std::string digits;
    for (const char c : text.substr(0, text.find_first_of("eE"))) {
        if (c >= '0' && c <= '9' && (c != '0' || !digits.empty())) digits += c;
    }
    digits.erase(digits.find_last_not_of('0') + 1);
    return digits;
}

void wrong_type(const Located& value, std::string_view expected, ProblemList& problems) {
    std::string message = fmt::format("Expected {}, found {}", expected, describe(value.node));
    if (value.node.kind == YamlNode::Kind::scalar) message += " " + in_quotes(value.node.text);
    problems.error(value.node.line, value.node.column, value.path, message + ".");
}

// The text to read a number from, or nothing (with a problem) when the value is none.
std::optional<std::string_view> number_text(const Located& value, NumericText mode, std::string_view expected,
                                            ProblemList& problems) {
    const YamlNode& node = value.node;
    if (node.unresolved) return std::nullopt;
    const bool numeric_text = node.quoted && mode == NumericText::accept;
    const Scalar type = node.kind != YamlNode::Kind::scalar ? Scalar::text
                        : numeric_text                      ? classify(node.text)
                                                            : type_of(node);
    if (type == Scalar::integer || type == Scalar::number) return std::string_view(node.text);
    wrong_type(value, expected, problems);
    return std::nullopt;
}

std::string unit_suffix(std::string_view unit) {
    return unit.empty() ? std::string{} : fmt::format(" {}", unit);
}

}  // namespace

std::string describe(const YamlNode& node) {
    if (node.kind == YamlNode::Kind::map) return "a map";
    if (node.kind == YamlNode::Kind::sequence) return "a list";
    switch (type_of(node)) {
        case Scalar::null:
            return "nothing";
        case Scalar::boolean:
            return "a truth value";
        case Scalar::integer:
            return "a whole number";
        case Scalar::number:
        case Scalar::not_finite:
            return "a number";
        case Scalar::text:
            return "text";
    }
    return "text";
}

std::optional<bool> read_bool(const Located& value, ProblemList& problems) {
    if (value.node.unresolved) return std::nullopt;
    if (value.node.kind == YamlNode::Kind::scalar && type_of(value.node) == Scalar::boolean) {
        return value.node.text[0] == 't' || value.node.text[0] == 'T';
    }
    wrong_type(value, "true or false", problems);
    return std::nullopt;
}

std::optional<std::int64_t> read_integer(const Located& value, IntegerRange range, NumericText mode,
                                         std::string_view unit, ProblemList& problems) {
    const auto text = number_text(value, mode, "a whole number", problems);
    if (!text) return std::nullopt;
    if (classify(*text) != Scalar::integer) {
        wrong_type(value, "a whole number", problems);
        return std::nullopt;
    }
    const std::optional<std::int64_t> number = parse_number<std::int64_t>(*text);
    if (number && *number >= range.min && *number <= range.max) return number;
    problems.error(value.node.line, value.node.column, value.path,
                   fmt::format("{} is out of range: allowed is {} to {}{}.", *text, range.min, range.max,
                               unit_suffix(unit)));
    return std::nullopt;
}

std::optional<double> read_number(const Located& value, NumberRange range, NumericText mode,
                                  std::string_view unit, ProblemList& problems) {
    const auto text = number_text(value, mode, "a number", problems);
    if (!text) return std::nullopt;
    const std::optional<double> number = parse_number<double>(*text);
    if (number && std::isfinite(*number) && *number >= range.min && *number <= range.max) return number;
    problems.error(value.node.line, value.node.column, value.path,
                   fmt::format("{} is out of range: allowed is {} to {}{}.", *text, range.min, range.max,
                               unit_suffix(unit)));
    return std::nullopt;
}

std::optional<std::string> read_spelling(const Located& value, std::size_t bytes_max, ProblemList& problems) {
    const YamlNode& node = value.node;
    if (node.unresolved) return std::nullopt;
    if (node.kind != YamlNode::Kind::scalar || (node.text.empty() && !node.quoted)) {
        wrong_type(value, "text", problems);
        return std::nullopt;
    }
    if (node.text.size() > bytes_max) {
        problems.error(node.line, node.column, value.path,
                       fmt::format("The text has {} bytes, the limit is {}.", node.text.size(), bytes_max));
        return std::nullopt;
    }
    return node.text;
}

std::optional<std::string> read_text(const Located& value, std::size_t bytes_min, std::size_t bytes_max,
                                     ProblemList& problems) {
    const YamlNode& node = value.node;
    if (node.unresolved) return std::nullopt;
    if (node.kind == YamlNode::Kind::scalar && type_of(node) != Scalar::text) {
        problems.error(node.line, node.column, value.path,
                       fmt::format("Expected text, found {} {}. Put it in quotes if text is meant.",
                                   describe(node), in_quotes(node.text)));
        return std::nullopt;
    }
    std::optional<std::string> text = read_spelling(value, bytes_max, problems);
    if (text && text->size() < bytes_min) {
        problems.error(node.line, node.column, value.path, "The text must not be empty.");
        return std::nullopt;
    }
    return text;
}

std::optional<std::size_t> read_choice(const Located& value, const std::vector<std::string>& choices,
                                       ProblemList& problems) {
    const std::optional<std::string> text = read_spelling(value, 1024, problems);
    if (!text) return std::nullopt;
    const auto found = std::find(choices.begin(), choices.end(), *text);
    if (found != choices.end()) return static_cast<std::size_t>(found - choices.begin());
    problems.error(value.node.line, value.node.column, value.path,
                   fmt::format("{} is none of {}.{}", in_quotes(*text), fmt::join(choices, ", "),
                               did_you_mean(*text, choices)));
    return std::nullopt;
}

nlohmann::json to_json(const Located& value, ProblemList& problems) {
    const YamlNode& node = value.node;
    auto refuse = [&](std::string_view why) {
        problems.error(node.line, node.column, value.path, fmt::format("{} {}", in_quotes(node.text), why));
        return nlohmann::json(nullptr);
    };
    if (node.kind == YamlNode::Kind::sequence) {
        nlohmann::json list = nlohmann::json::array();
        for (std::size_t index = 0; index < node.items.size(); ++index) {
            list.push_back(to_json({node.items[index], item_path(value.path, index)}, problems));
        }
        return list;
    }
    if (node.kind == YamlNode::Kind::map) {
        nlohmann::json map = nlohmann::json::object();
        for (const Entry& entry : node.entries) {
            map[entry.key] = to_json({entry.value, child_path(value.path, entry.key)}, problems);
        }
        return map;
    }
    switch (type_of(node)) {
        case Scalar::null:
            return nullptr;
        case Scalar::boolean:
            return node.text[0] == 't' || node.text[0] == 'T';
        case Scalar::integer:
            if (const auto number = parse_number<std::int64_t>(node.text)) return *number;
            if (const auto number = parse_number<std::uint64_t>(node.text)) return *number;
            return refuse("does not fit into 64 bits. Put it in quotes to pass it on as text.");
        case Scalar::number:
            if (const auto number = parse_number<double>(node.text); number && std::isfinite(*number)) {
                // What is stored is what JSON's writer makes of the double, and that is what later readers take exactly.
                const std::string written = nlohmann::json(*number).dump();
                if (significant_digits(node.text) == significant_digits(written)) return *number;
                return refuse(
                    fmt::format("becomes {} as a double. Put it in quotes to pass it on as text.", written));
            }
            return refuse("is beyond what a double can hold. Put it in quotes to pass it on as text.");
        case Scalar::not_finite:
            return refuse("has no form in JSON. Put it in quotes to pass it on as text.");
        case Scalar::text:
            return node.text;
    }
    return nullptr;
}

MapReader::MapReader(Located map, ProblemList& problems)
    : map_(std::move(map)), problems_(problems), valid_(map_.node.kind == YamlNode::Kind::map) {
    if (!valid_ && !map_.node.unresolved) wrong_type(map_, "a map", problems_);
}

const YamlNode* MapReader::get(std::string_view key) {
    known_.emplace_back(key);
    const YamlNode* found = map_.node.find(key);
    if (found != nullptr && found->kind == YamlNode::Kind::null) {
        problems_.error(found->line, found->column, child_path(map_.path, key),
                        "The key has no value. Give it one, or remove the key to get the default.");
        return nullptr;
    }
    return found;
}

const YamlNode* MapReader::require(std::string_view key) {
    const YamlNode* found = get(key);
    if (valid_ && map_.node.find(key) == nullptr) {
        problems_.error(map_.node.line, map_.node.column, child_path(map_.path, key),
                        fmt::format("The required key '{}' is missing.", key));
    }
    return found;
}

void MapReader::finish() {
    for (const Entry& entry : map_.node.entries) {
        if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
        const std::string hint = problems_.size() < kSuggestionsMax ? did_you_mean(entry.key, known_) : "";
        problems_.error(entry.line, entry.column, child_path(map_.path, entry.key),
                        fmt::format("Unknown key {}.{}", in_quotes(entry.key), hint));
    }
}

}  // namespace tasker::yaml
