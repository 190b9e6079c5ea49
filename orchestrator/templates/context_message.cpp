#include "orchestrator/templates/context_message.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace tasker::templates {

namespace {

using nlohmann::json;

std::string type_word(std::string_view type) {
    if (type == "object") return "an object";
    if (type == "array") return "a list";
    if (type == "string") return "text";
    if (type == "number") return "a number";
    if (type == "integer") return "a whole number";
    if (type == "boolean") return "true or false";
    return std::string(type);
}

// The schema itself, or what its local $ref points to; a bounded walk, since stored schemas are not checked
// again.
const json* resolved(const json& root, const json* schema) {
    constexpr int references_max = 32;
    for (int hops = 0; schema != nullptr && hops < references_max; ++hops) {
        if (!schema->is_object()) return nullptr;
        const auto reference = schema->find("$ref");
        if (reference == schema->end() || !reference->is_string()) return schema;
        const auto& text = reference->get_ref<const std::string&>();
        if (text.empty() || text[0] != '#') return nullptr;
        try {
            const json::json_pointer pointer(text.substr(1));
            schema = root.contains(pointer) ? &root.at(pointer) : nullptr;
        } catch (const json::exception&) {
            return nullptr;
        }
    }
    return nullptr;
}

const json* member(const json* object, const char* key) {
    if (object == nullptr || !object->is_object()) return nullptr;
    const auto found = object->find(key);
    return found == object->end() ? nullptr : &*found;
}

const json* property_schema(const json* schema, const std::string& name) {
    if (const json* property = member(member(schema, "properties"), name.c_str())) return property;
    const json* extra = member(schema, "additionalProperties");
    return extra != nullptr && extra->is_object() ? extra : nullptr;
}

const json* item_schema(const json* schema, std::size_t index) {
    const json* items = member(schema, "items");
    if (items == nullptr || !items->is_array()) return items;
    return index < items->size() ? &(*items)[index] : nullptr;
}

std::string expected_type(const Located& located) {
    const json* type = member(located.schema, "type");
    if (type == nullptr) return {};
    if (type->is_string()) return type_word(type->get_ref<const std::string&>());
    std::string words;
    for (const json& one : *type) {
        if (!one.is_string()) return {};
        words += (words.empty() ? "" : " or ") + type_word(one.get_ref<const std::string&>());
    }
    return words;
}

// A JSON value short enough for a message.
std::string brief(const json& value) {
    constexpr std::size_t bytes_max = 60;
    std::string text =
        value.dump(-1, ' ', true, json::error_handler_t::replace);  // ASCII only: safe to cut anywhere
    if (text.size() > bytes_max) text = text.substr(0, bytes_max) + "…";
    return text;
}

std::string allowed_values(const Located& located) {
    const json* values = member(located.schema, "enum");
    if (values == nullptr || !values->is_array()) return "has a value that is not allowed";
    std::string words;
    constexpr std::size_t shown_max = 10;
    for (std::size_t index = 0; index < values->size() && index < shown_max; ++index) {
        words += (index == 0 ? "" : ", ") + brief((*values)[index]);
    }
    if (values->size() > shown_max) words += ", …";
    return fmt::format("must be one of {}, is {}", words,
                       located.value != nullptr ? brief(*located.value) : "missing");
}

// "3.000000" as the library prints limits, without its zeros.
std::string trimmed_number(std::string_view text) {
    std::string number(text);
    if (number.find('.') == std::string::npos) return number;
    number.erase(number.find_last_not_of('0') + 1);
    if (!number.empty() && number.back() == '.') number.pop_back();
    return number;
}

struct Rule {
    std::string_view start;
    std::string_view phrase;
    std::string_view one;   // after the number 1
    std::string_view many;  // after any other number
};

constexpr std::array kLimits{
    Rule{"Array should contain no fewer than ", "must have at least ", " item", " items"},
    Rule{"Array should contain no more than ", "must have at most ", " item", " items"},
    Rule{"String should be no fewer than ", "must have at least ", " character", " characters"},
    Rule{"String should be no more than ", "must have at most ", " character", " characters"},
    Rule{"Object should have no fewer than ", "must have at least ", " key", " keys"},
    Rule{"Object should have no more than ", "must have at most ", " key", " keys"},
    Rule{"Expected number less than or equal to ", "must be at most ", "", ""},
    Rule{"Expected number less than ", "must be less than ", "", ""},
    Rule{"Expected number greater than or equal to ", "must be at least ", "", ""},
    Rule{"Expected number greater than ", "must be greater than ", "", ""},
    Rule{"Value should be a multiple of ", "must be a multiple of ", "", ""},
};

std::string between_quotes(std::string_view text) {
    const std::size_t first = text.find('\'');
    const std::size_t last = text.rfind('\'');
    return first < last ? std::string(text.substr(first, last - first + 1)) : std::string();
}

}  // namespace

std::string json_type_text(const json& value) {
    switch (value.type()) {
        case json::value_t::object:
            return "an object";
        case json::value_t::array:
            return "a list";
        case json::value_t::string:
            return "text";
        case json::value_t::boolean:
            return value.get<bool>() ? "true" : "false";
        case json::value_t::number_integer:
        case json::value_t::number_unsigned:
            return "a whole number";
        case json::value_t::number_float:
            return "a number";
        case json::value_t::null:
            return "null";
        case json::value_t::binary:
        case json::value_t::discarded:
            return "no JSON";
    }
    return "no JSON";
}

Located locate(const json& schema, const json& value, const std::vector<std::string>& way) {
    Located at{"$", &value, resolved(schema, &schema)};
    for (std::size_t hop = 1; hop < way.size(); ++hop) {
        std::string_view token = way[hop];
        if (token.size() >= 2 && token.front() == '[' && token.back() == ']')
            token = token.substr(1, token.size() - 2);
        const std::string name(token);
        std::size_t index = 0;
        const bool in_list =
            at.value != nullptr && at.value->is_array() &&
            std::from_chars(token.data(), token.data() + token.size(), index).ec == std::errc{};
        if (in_list) {
            at.path += fmt::format("[{}]", index);
            at.value = index < at.value->size() ? &(*at.value)[index] : nullptr;
            at.schema = resolved(schema, item_schema(at.schema, index));
        } else {
            at.path += "." + name;
            at.value = member(at.value, name.c_str());
            at.schema = resolved(schema, property_schema(at.schema, name));
        }
    }
    return at;
}

std::string readable(const std::string& description, const Located& located) {
    const std::string_view text = description;
    for (const Rule& rule : kLimits) {
        if (!text.starts_with(rule.start)) continue;
        std::string_view number = text.substr(rule.start.size());
        number = number.substr(0, number.find_first_not_of("0123456789.-"));
        const std::string shown = trimmed_number(number);
        return fmt::format("{}{}{}", rule.phrase, shown, shown == "1" ? rule.one : rule.many);
    }
    if (text.starts_with("Missing required property")) return "must have the key " + between_quotes(text);
    if (text.starts_with("Missing dependency")) {
        return fmt::format("must also have the key {}", between_quotes(text));
    }
    if (text.starts_with("Object contains a property")) {
        const std::size_t name = std::min(text.find(": '"), text.size());
        return fmt::format("has the key {}, which is not allowed", between_quotes(text.substr(name)));
    }
    if (text.starts_with("Failed to match against any enum")) return allowed_values(located);
    if (text.starts_with("Value type not permitted")) {
        const std::string wanted = expected_type(located);
        const std::string found = located.value != nullptr ? json_type_text(*located.value) : "missing";
        if (wanted.empty()) return fmt::format("has a type that is not allowed ({})", found);
        return fmt::format("must be {}, is {}", wanted, found);
    }
    if (text.starts_with("Failed to match regex")) {
        const json* pattern = member(located.schema, "pattern");
        if (pattern == nullptr || !pattern->is_string()) return "does not match the pattern of the schema";
        return fmt::format("must match the pattern {}", pattern->get_ref<const std::string&>());
    }
    if (text.starts_with("String should be a valid ")) return fmt::format("must be{}", text.substr(16));
    if (text.find("violate uniqueness") != std::string_view::npos)
        return "must not have equal items: " + description;
    return description;
}

bool is_summary(std::string_view description) {
    constexpr std::array summaries{
        "Failed to validate against schema associated with",
        "Failed to validate item #",
        "Failed to validate against additional properties schema",
        "Failed to validate against child schema #",
        "Failed to validate against a conditional schema",
    };
    return std::any_of(summaries.begin(), summaries.end(),
                       [description](std::string_view start) { return description.starts_with(start); });
}

}  // namespace tasker::templates
