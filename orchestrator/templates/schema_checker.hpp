// Internal to the context validator: checks one value against a compiled schema.
#pragma once

#include <vector>

#include "orchestrator/templates/check_work.hpp"
#include "orchestrator/templates/compiled_schema.hpp"
#include "orchestrator/templates/context_validator.hpp"

namespace tasker::templates {

/// A context with more faults than this is not mended one by one.
constexpr std::size_t kProblemsMax = 100;

/// Everything in which `value` breaks the schema (JSON Schema draft 7), at most kProblemsMax. Exact for any number.
/// @throws UncheckableValue when it takes more than kCheckSecondsMax, or schemas apply each other without end.
std::vector<ContextProblem> check_against(const CompiledSchema& schema, const ExactJson& value);

}  // namespace tasker::templates
