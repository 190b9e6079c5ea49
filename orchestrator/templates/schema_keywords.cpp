#include "orchestrator/templates/schema_keywords.hpp"

#include <algorithm>
#include <charconv>

namespace tasker::templates {

namespace {

// A reference is a URI, so "%25" may stand for "%"; what is no such triple stays as it is.
std::string percent_decoded(std::string_view text) {
    std::string result;
    for (std::size_t at = 0; at < text.size(); ++at) {
        unsigned code = 0;
        const char* const digits = text.data() + at + 1;
        if (text[at] == '%' && at + 2 < text.size() &&
            std::from_chars(digits, digits + 2, code, 16).ptr == digits + 2) {
            result += static_cast<char>(code);
            at += 2;
        } else {
            result += text[at];
        }
    }
    return result;
}

// In a JSON pointer "~1" stands for "/" and "~0" for "~".
std::string unescaped(std::string_view text) {
    std::string result;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char next = at + 1 < text.size() ? text[at + 1] : '\0';
        const bool escape = text[at] == '~' && (next == '0' || next == '1');
        if (escape) ++at;
        result += !escape ? text[at] : next == '0' ? '~' : '/';
    }
    return result;
}

}  // namespace

const KnownKeyword* find_keyword(std::string_view name) {
    const auto* const found = std::find_if(kKeywords.begin(), kKeywords.end(),
                                           [name](const KnownKeyword& word) { return word.name == name; });
    return found == kKeywords.end() ? nullptr : found;
}

std::optional<std::vector<std::string>> reference_steps(std::string_view reference) {
    if (!reference.starts_with('#')) return std::nullopt;
    std::vector<std::string> steps;
    std::string_view rest = reference.substr(1);
    while (!rest.empty()) {
        if (rest[0] != '/') return std::nullopt;
        rest.remove_prefix(1);
        const std::size_t end = std::min(rest.find('/'), rest.size());
        steps.push_back(unescaped(percent_decoded(rest.substr(0, end))));
        rest.remove_prefix(end);
    }
    return steps;
}

}  // namespace tasker::templates
