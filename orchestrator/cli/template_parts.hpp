// The commands of `tasker template` that stand in files of their own.
#pragma once

#include "orchestrator/cli/context.hpp"

namespace tasker::cli {

/// Adds `tasker template show`: one registered template with all its keys.
void add_template_show(CLI::App& group, Context& context);

/// Adds `tasker template diff`: what loading a file would change, or how two registered templates differ.
void add_template_diff(CLI::App& group, Context& context);

/// Adds `tasker template convert`: from the newer form of Tasker's ancestors to the form of this program.
void add_template_convert(CLI::App& group, Context& context);

/// Adds `tasker template schema`: the JSON Schema of template files, for editors.
void add_template_schema(CLI::App& group, Context& context);

}  // namespace tasker::cli
