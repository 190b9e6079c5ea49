// The regular expressions of a template's JSON Schema: matched in a time that grows with the text alone.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace re2 {
class RE2;
}

namespace tasker::templates {

/// A compiled pattern; copies share it, and threads may.
using Pattern = std::shared_ptr<const re2::RE2>;

/// Compiles an ECMAScript pattern for RE2, which never backtracks: with std::regex a pattern such as ^(a+)+$
/// takes longer than a lifetime on forty letters, and the submission with it. What only backtracking can do
/// (look-around, back-references) is refused, like what is no pattern; the error says which it is.
tl::expected<Pattern, std::string> compile_pattern(std::string_view text);

/// Whether the pattern matches somewhere in the text.
bool found_in(const Pattern& pattern, std::string_view text);

}  // namespace tasker::templates
