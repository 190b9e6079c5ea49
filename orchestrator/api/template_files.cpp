#include "orchestrator/api/template_files.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "orchestrator/templates/load.hpp"

namespace tasker::api {

namespace fs = std::filesystem;

std::int64_t TemplateFiles::errors() const {
    return std::count_if(problems.begin(), problems.end(), [](const templates::Problem& problem) {
        return problem.severity == templates::Severity::error;
    });
}

tl::expected<TemplateFiles, NoTemplates> read_template_files(const fs::path& path,
                                                             std::string_view environment) {
    std::error_code failure;
    const auto status = fs::status(path, failure);
    if (!fs::exists(status)) {
        return tl::unexpected(NoTemplates{fmt::format("there is no file or directory {}", path.string()),
                                          "name a YAML file, or a directory that holds *.yaml files"});
    }
    if (fs::is_directory(status)) {
        auto directory = templates::load_template_dir(path, environment);
        if (directory.templates.empty() && !directory.has_errors()) {
            return tl::unexpected(NoTemplates{fmt::format("{} holds no *.yaml or *.yml file", path.string()),
                                              "name a YAML file, or a directory that holds some"});
        }
        return TemplateFiles{std::move(directory.templates), std::move(directory.problems)};
    }
    auto one = templates::load_template_file(path, environment);
    if (!one) return TemplateFiles{{}, std::move(one.error())};
    TemplateFiles files;
    files.problems = one->warnings;
    files.templates.push_back(std::move(*one));
    return files;
}

}  // namespace tasker::api
