// The JSON Schema of a context, checked where it is written.
#pragma once

#include "orchestrator/options/yaml/reader.hpp"

namespace tasker::templates {

/// Checks a schema keyword by keyword (draft 7), so that a problem names the line: types of keyword values,
/// names of types, regular expressions, local references, misspelt keywords. Warns about keywords that
/// nothing checks and about a schema that no context can satisfy. Remote references are refused: loading
/// reads no network.
void check_schema(const yaml::Located& schema, yaml::ProblemList& problems);

}  // namespace tasker::templates
