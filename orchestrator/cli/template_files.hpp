// Template files as the commands read them, and how their problems are shown.
#pragma once

#include <string>
#include <vector>

#include "orchestrator/api/template_files.hpp"
#include "orchestrator/cli/context.hpp"

namespace tasker::cli {

/// Reads a file or a directory. Throws CommandError (not_found) when there is neither.
api::TemplateFiles read_templates(const std::string& path, const std::string& environment);

/// The same with the environment of the settings. Throws CommandError (usage) when any file has an error.
/// `consequence` says what was not done then: "nothing was loaded".
api::TemplateFiles read_good_templates(const Context& context, const std::string& path,
                                       const std::string& consequence);

/// Problems for --json: file, line, column, field, message, severity.
Json problems_json(const std::vector<templates::Problem>& problems);

/// One line each on standard error; nothing with --json.
void print_problems(const Context& context, const std::vector<templates::Problem>& problems);

/// "2 errors and 1 warning".
std::string found_text(const api::TemplateFiles& loaded);

}  // namespace tasker::cli
