// The checks of a task request that need neither its template nor the database.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "orchestrator/api/submit.hpp"
#include "orchestrator/templates/exact_json.hpp"

namespace tasker::api {

/// Characters of UTF-8 text; nothing when it is not valid UTF-8 or contains a NUL, which PostgreSQL cannot
/// store.
std::optional<std::size_t> storable_length(std::string_view text);

/// Whether `text` is an RFC 3339 date and time with an offset ("2025-06-30T12:00:00.5Z", "…+02:00").
bool is_rfc3339(std::string_view text);

/// The first thing wrong with the request's own fields, context aside.
std::optional<RequestProblem> field_problem(const TaskRequest& request);

/// The context as an object, or why it is none: not JSON, not an object, too large, too deep, a key given twice, a
/// number of too many digits, or a NUL character (the message names the place).
tl::expected<templates::ExactJson, RequestProblem> parse_context(std::string_view text);

}  // namespace tasker::api
