// The attempts of a step, and their errors, as people read them.
#pragma once

#include <string>
#include <string_view>

#include "orchestrator/cli/context.hpp"

namespace tasker::cli {

/// "NetworkError: gateway timed out" of an error as steps and attempts hold it; "" for null.
std::string error_text(const Json& error);

/// Prints attempt_history[] of a step: attempt, worker, start, duration, how it ended, error, and the pause before the
/// next, under this heading.
void print_attempts(const Context& context, const Json& attempts, std::string_view heading);

/// Prints an error in full: type, message, all other members, and every line of its backtrace.
void print_error_in_full(const Context& context, const Json& error);

}  // namespace tasker::cli
