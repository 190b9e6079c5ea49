#include "orchestrator/templates/pattern.hpp"

#include <re2/re2.h>

namespace tasker::templates {

namespace {

// Bounds the compiled program, and with it the time per character of a text.
constexpr std::int64_t kProgramBytesMax = 1024L * 1024;

// ECMAScript writes a character as \u00e9, RE2 as \x{00e9}; the rest of the syntax is common.
std::string in_re2_syntax(std::string_view text) {
    std::string result;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '\\' || at + 1 == text.size()) {
            result += text[at];
        } else if (text[at + 1] == 'u' && at + 6 <= text.size()) {
            result.append("\\x{").append(text.substr(at + 2, 4)).append("}");
            at += 5;
        } else {
            result.append(text.substr(at, 2));
            ++at;
        }
    }
    return result;
}

}  // namespace

tl::expected<Pattern, std::string> compile_pattern(std::string_view text) {
    re2::RE2::Options options(re2::RE2::Quiet);
    options.set_max_mem(kProgramBytesMax);
    auto compiled = std::make_shared<const re2::RE2>(in_re2_syntax(text), options);
    if (!compiled->ok()) return tl::unexpected(compiled->error());
    return compiled;
}

bool found_in(const Pattern& pattern, std::string_view text) {
    return re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *pattern);
}

}  // namespace tasker::templates
