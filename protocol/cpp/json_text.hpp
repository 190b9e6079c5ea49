// Judging raw JSON text: is it valid, and can PostgreSQL's jsonb hold it?
#pragma once

#include <cstddef>
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

/// Why jsonb would refuse this valid JSON text: a `\u0000` escape, half a surrogate pair, or a number outside
/// the range of `numeric`. nullopt when it can be stored. Cheap when there is no backslash and no exponent.
std::optional<std::string> unstorable_reason(std::string_view json);

}  // namespace tasker::protocol
