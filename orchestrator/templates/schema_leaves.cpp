#include "orchestrator/templates/schema_leaves.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <compare>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "orchestrator/templates/decimal.hpp"
#include "orchestrator/templates/text_format.hpp"

namespace tasker::templates {

namespace {

std::string type_word(std::string_view type) {
    if (type == "object") return "an object";
    if (type == "array") return "a list";
    if (type == "string") return "text";
    if (type == "number") return "a number";
    if (type == "integer") return "a whole number";
    if (type == "boolean") return "true or false";
    return std::string(type);
}

bool has_type(const ExactJson& value, std::string_view type) {
    if (type == "object") return value.object() != nullptr;
    if (type == "array") return value.list() != nullptr;
    if (type == "string") return value.text() != nullptr;
    if (type == "number") return value.number() != nullptr;
    if (type == "boolean") return value.truth() != nullptr;
    if (type == "null") return value.is_null();
    return value.number() != nullptr && Decimal(value.number()->text).is_whole();
}

// A JSON value short enough for a message.
std::string brief(const ExactJson& value) {
    constexpr std::size_t bytes_max = 60;
    std::string text = value.dump();
    if (text.size() <= bytes_max) return text;
    std::size_t end = bytes_max;
    while ((static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    return text.substr(0, end) + "…";
}

Decimal number_of(const ExactJson& value) {
    return Decimal(value.number()->text);
}

std::span<const ExactJson> types_of(const ExactJson& keyword) {
    return keyword.list() != nullptr ? std::span(*keyword.list()) : std::span(&keyword, 1);
}
bool fits_type(const CompiledSchema&, CheckWork&, const ExactJson& keyword, const ExactJson& value) {
    const auto types = types_of(keyword);
    return std::any_of(types.begin(), types.end(),
                       [&](const ExactJson& one) { return has_type(value, *one.text()); });
}
std::string word_type(const ExactJson& keyword, const ExactJson& value) {
    std::string wanted;
    for (const ExactJson& one : types_of(keyword))
        wanted += (wanted.empty() ? "" : " or ") + type_word(*one.text());
    return fmt::format("must be {}, is {}", wanted, json_type_text(value));
}

bool fits_enum(const CompiledSchema&, CheckWork& work, const ExactJson& keyword, const ExactJson& value) {
    const ExactJson::List& values = *keyword.list();
    work.charge(values.size() * 5);
    return std::find(values.begin(), values.end(), value) != values.end();
}
std::string word_enum(const ExactJson& keyword, const ExactJson& value) {
    constexpr std::size_t shown_max = 10;
    const ExactJson::List& values = *keyword.list();
    std::string words;
    for (std::size_t index = 0; index < values.size() && index < shown_max; ++index) {
        words += (index == 0 ? "" : ", ") + brief(values[index]);
    }
    if (values.size() > shown_max) words += ", …";
    return fmt::format("must be one of {}, is {}", words, brief(value));
}

bool fits_const(const CompiledSchema&, CheckWork&, const ExactJson& keyword, const ExactJson& value) {
    return keyword == value;
}
std::string word_const(const ExactJson& keyword, const ExactJson& value) {
    return fmt::format("must be {}, is {}", brief(keyword), brief(value));
}

enum class Limit { maximum, exclusive_maximum, minimum, exclusive_minimum, multiple };

template <Limit limit>
bool fits_limit(const CompiledSchema&, CheckWork& work, const ExactJson& keyword, const ExactJson& value) {
    if (value.number() == nullptr) return true;
    work.charge(limit == Limit::multiple ? kNumberDigitsMax : value.number()->text.size());
    if (limit == Limit::multiple) return number_of(value).is_multiple_of(number_of(keyword));
    const auto order = number_of(value) <=> number_of(keyword);
    if (limit == Limit::maximum) return std::is_lteq(order);
    if (limit == Limit::exclusive_maximum) return std::is_lt(order);
    return limit == Limit::minimum ? std::is_gteq(order) : std::is_gt(order);
}
template <Limit limit>
std::string word_limit(const ExactJson& keyword, const ExactJson&) {
    constexpr std::string_view phrases[] = {"at most", "less than", "at least", "greater than",
                                            "a multiple of"};
    return fmt::format("must be {} {}", phrases[static_cast<std::size_t>(limit)], number_of(keyword).text());
}

enum class Unit { character, item, key };

// How many the value has of what is counted; nothing when it is none of these.
template <Unit unit>
std::optional<std::size_t> size_of(const ExactJson& value) {
    if (unit == Unit::item && value.list() != nullptr) return value.list()->size();
    if (unit == Unit::key && value.object() != nullptr) return value.object()->size();
    if (unit != Unit::character || value.text() == nullptr) return std::nullopt;
    const std::string& text = *value.text();
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}
template <Unit unit, bool most>
bool fits_size(const CompiledSchema&, CheckWork& work, const ExactJson& keyword, const ExactJson& value) {
    const auto size = size_of<unit>(value);
    if (!size) return true;
    if (unit == Unit::character) work.charge(*size / 10);
    return most ? *size <= count_of(keyword) : *size >= count_of(keyword);
}
template <Unit unit, bool most>
std::string word_size(const ExactJson& keyword, const ExactJson&) {
    constexpr std::string_view units[] = {"character", "item", "key"};
    const std::string number = number_of(keyword).text();
    return fmt::format("must have at {} {} {}{}", most ? "most" : "least", number,
                       units[static_cast<std::size_t>(unit)], number == "1" ? "" : "s");
}

bool fits_pattern(const CompiledSchema& schema, CheckWork& work, const ExactJson& keyword,
                  const ExactJson& value) {
    if (value.text() == nullptr) return true;
    work.charge(value.text()->size() + 10);
    return found_in(schema.pattern(*keyword.text()), *value.text());
}
std::string word_pattern(const ExactJson& keyword, const ExactJson&) {
    return "must match the pattern " + *keyword.text();
}

bool fits_format(const CompiledSchema&, CheckWork& work, const ExactJson& keyword, const ExactJson& value) {
    const FormatCheck check = find_format(*keyword.text());
    if (value.text() == nullptr || check == nullptr) return true;
    work.charge(value.text()->size());
    return check(*value.text());
}
std::string word_format(const ExactJson& keyword, const ExactJson&) {
    return "must be a valid " + *keyword.text();
}

// The first item that equals one before it, and that one; nothing when all differ.
std::optional<std::pair<std::size_t, std::size_t>> equal_items(const ExactJson::List& items,
                                                               CheckWork& work) {
    std::map<std::string, std::size_t> seen;
    for (std::size_t index = 0; index < items.size(); ++index) {
        std::string form = items[index].normal_form();
        work.charge(form.size() + 20);
        const auto [first, is_new] = seen.try_emplace(std::move(form), index);
        if (!is_new) return std::pair(first->second, index);
    }
    return std::nullopt;
}
bool fits_unique(const CompiledSchema&, CheckWork& work, const ExactJson& keyword, const ExactJson& value) {
    return value.list() == nullptr || !*keyword.truth() || !equal_items(*value.list(), work);
}
std::string word_unique(const ExactJson&, const ExactJson& value) {
    CheckWork work;
    const auto [first, second] =
        equal_items(*value.list(), work).value_or(std::pair<std::size_t, std::size_t>(0, 0));
    return fmt::format("must not have equal items: [{}] and [{}]", first, second);
}

template <Limit limit>
constexpr Leaf kLimit{&fits_limit<limit>, &word_limit<limit>};
template <Unit unit>
constexpr Leaf kMost{&fits_size<unit, true>, &word_size<unit, true>};
template <Unit unit>
constexpr Leaf kLeast{&fits_size<unit, false>, &word_size<unit, false>};

}  // namespace

const Leaf* find_leaf(std::string_view keyword) {
    static const std::map<std::string_view, Leaf> all{
        {"type", {&fits_type, &word_type}},
        {"enum", {&fits_enum, &word_enum}},
        {"const", {&fits_const, &word_const}},
        {"multipleOf", kLimit<Limit::multiple>},
        {"maximum", kLimit<Limit::maximum>},
        {"exclusiveMaximum", kLimit<Limit::exclusive_maximum>},
        {"minimum", kLimit<Limit::minimum>},
        {"exclusiveMinimum", kLimit<Limit::exclusive_minimum>},
        {"maxLength", kMost<Unit::character>},
        {"minLength", kLeast<Unit::character>},
        {"maxItems", kMost<Unit::item>},
        {"minItems", kLeast<Unit::item>},
        {"maxProperties", kMost<Unit::key>},
        {"minProperties", kLeast<Unit::key>},
        {"pattern", {&fits_pattern, &word_pattern}},
        {"format", {&fits_format, &word_format}},
        {"uniqueItems", {&fits_unique, &word_unique}},
    };
    const auto found = all.find(keyword);
    return found == all.end() ? nullptr : &found->second;
}

}  // namespace tasker::templates
