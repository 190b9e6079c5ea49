// What every text for people must be, whatever input it quotes.
#pragma once

#include <string_view>

#include "protocol/cpp/encode.hpp"
#include "protocol/cpp/json_text.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace tasker::fuzz {

inline bool is_utf8(std::string_view text) {
    std::string quoted;
    protocol::append_json_string(quoted, text);
    return !protocol::check_json(quoted, 1);
}

/// PostgreSQL text: UTF-8 without U+0000.
inline void check_storable(std::string_view text) {
    require(is_utf8(text), "a text for people is UTF-8", text);
    require(text.find('\0') == std::string_view::npos, "a text for people has no U+0000", text);
}

/// A message of an error: not empty, storable, one line, and of bounded length whatever it quotes.
inline void check_sentence(std::string_view text, std::size_t bytes_max = 4096) {
    require(!text.empty(), "an error says what is wrong");
    check_storable(text);
    require(text.find('\n') == std::string_view::npos, "an error is one line", text);
    require(text.size() <= bytes_max, "an error is of readable length", text);
}

}  // namespace tasker::fuzz
