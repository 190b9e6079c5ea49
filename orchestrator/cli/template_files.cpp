#include "orchestrator/cli/template_files.hpp"

#include <fmt/format.h>

#include "orchestrator/cli/show/answers.hpp"

namespace tasker::cli {

using api::TemplateFiles;
using templates::Problem;

TemplateFiles read_templates(const std::string& path, const std::string& environment) {
    auto files = api::read_template_files(path, environment);
    if (!files) throw CommandError(ExitCode::not_found, files.error().message, files.error().advice);
    return std::move(*files);
}

TemplateFiles read_good_templates(const Context& context, const std::string& path,
                                  const std::string& consequence) {
    TemplateFiles loaded = read_templates(path, context.settings().environment);
    if (loaded.errors() == 0) return loaded;
    std::string text = fmt::format("{} in {}; {}:", found_text(loaded), path, consequence);
    for (const auto& problem : loaded.problems) text += "\n  " + to_string(problem);
    throw CommandError(
        ExitCode::usage, text,
        fmt::format("correct what is listed; `tasker template check {}` tells again, without a database",
                    path));
}

Json problems_json(const std::vector<Problem>& problems) {
    Json list = Json::array();
    for (const Problem& problem : problems) {
        list.push_back({{"file", problem.file},
                        {"line", problem.line},
                        {"column", problem.column},
                        {"field", problem.field},
                        {"message", problem.message},
                        {"severity", problem.severity == templates::Severity::error ? "error" : "warning"}});
    }
    return list;
}

void print_problems(const Context& context, const std::vector<Problem>& problems) {
    for (const Problem& problem : problems) context.remark(to_string(problem));
}

std::string found_text(const TemplateFiles& loaded) {
    const auto errors = loaded.errors();
    const auto warnings = static_cast<std::int64_t>(loaded.problems.size()) - errors;
    std::string text = count_text(errors, "error", "errors");
    if (warnings > 0) text += " and " + count_text(warnings, "warning", "warnings");
    return text;
}

}  // namespace tasker::cli
