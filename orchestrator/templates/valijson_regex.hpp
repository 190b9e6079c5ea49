// Internal to the context validator: gives valijson another regular expression engine.
//
// valijson matches patterns with std::regex and offers no way to choose. It backtracks, so a short pattern
// can take exponential time, and it recurses with each character of the text. Inside namespace valijson the
// name std::regex therefore means the class below: a lookup of std:: there finds this nested namespace first,
// and through its using-directive everything else of the standard library. Include this before any valijson
// header, in every file that includes one.
#pragma once

#include <re2/re2.h>

#include <array>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>

#include "orchestrator/templates/pattern.hpp"

namespace valijson::std {

using namespace ::std;

/// The library's own patterns come as literals: one of them needs look-ahead and keeps the standard engine
/// (it is applied to the $id of a schema, never to a context). Patterns of a schema come as strings.
class regex {
  public:
    explicit regex(const char* own) {
        if (auto compiled = tasker::templates::compile_pattern(own)) {
            pattern_ = *::std::move(compiled);
        } else {
            own_.emplace(own);
        }
    }
    explicit regex(const ::std::string& text) {
        auto compiled = tasker::templates::compile_pattern(text);
        if (!compiled) throw ::std::invalid_argument("unusable pattern: " + compiled.error());
        pattern_ = *::std::move(compiled);
    }

    const tasker::templates::Pattern& pattern() const { return pattern_; }
    const ::std::optional<::std::regex>& own() const { return own_; }

  private:
    tasker::templates::Pattern pattern_;
    ::std::optional<::std::regex> own_;
};

/// As much of std::smatch as valijson uses: the text of each group, the whole match first.
class smatch {
  public:
    struct Group {
        re2::StringPiece view;
        ::std::string str() const { return ::std::string(view.data(), view.size()); }
    };
    static constexpr int kGroups = 10;

    Group operator[](::std::size_t index) const { return {groups_.at(index)}; }
    re2::StringPiece* groups() { return groups_.data(); }

  private:
    ::std::array<re2::StringPiece, kGroups> groups_;
};

inline bool regex_search(const ::std::string& text, const regex& expression) {
    return tasker::templates::found_in(expression.pattern(), text);
}

inline bool regex_match(const ::std::string& text, smatch& matches, const regex& expression) {
    const re2::RE2& pattern = *expression.pattern();
    const int groups = ::std::min(smatch::kGroups, pattern.NumberOfCapturingGroups() + 1);
    return pattern.Match(text, 0, text.size(), re2::RE2::ANCHOR_BOTH, matches.groups(), groups);
}

inline bool regex_match(const ::std::string& text, const regex& expression) {
    if (expression.own()) return ::std::regex_match(text, *expression.own());
    return re2::RE2::FullMatch(text, *expression.pattern());
}

}  // namespace valijson::std
