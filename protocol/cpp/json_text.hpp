// Judging raw JSON text: is it valid, and can PostgreSQL's jsonb hold it?
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/cpp/error.hpp"

namespace tasker::protocol {

/// Checks that `json` is exactly one JSON value in UTF-8, nested at most `depth_max` deep (an array or object
/// that holds only scalars has depth 1). nullopt when it is; otherwise invalid_utf8, malformed_json (with the
/// byte offset) or too_deep. One pass, no recursion, no allocation unless there is an error.
std::optional<DecodeError> check_json(std::string_view json, std::size_t depth_max);

/// True when the text of a valid JSON value holds a real `\u0000` escape (`\\u0000` is a backslash and five
/// letters).
bool contains_nul_escape(std::string_view json);

/// Digits that a number may have once it is written without an exponent. `1e131071` has 8 bytes and 131 072
/// digits: without a limit a small output becomes a request that nobody can send.
inline constexpr std::int64_t kNumberDigitsMax = 1000;

/// Levels that a `step_batch_request` puts around the output of a parent: message, steps, step,
/// previous_results. An output has so many less than a message may have.
inline constexpr std::size_t kLevelsAroundOutput = 4;

/// What JSON text becomes in jsonb and back.
struct JsonMeasure {
    std::int64_t text_bytes = 0;  // written out again: exact, except that members given twice count twice
    std::size_t depth = 0;        // as check_json counts it
};

/// Why this valid JSON text cannot be kept: a `\u0000` escape or half a surrogate pair (jsonb has none), or a
/// number of more than kNumberDigitsMax digits. nullopt when it can; then `measure` is complete. Cheap when
/// there is no backslash and no exponent.
std::optional<std::string> unstorable_reason(std::string_view json, JsonMeasure& measure);
std::optional<std::string> unstorable_reason(std::string_view json);

}  // namespace tasker::protocol
