#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <system_error>

#include "orchestrator/templates/load.hpp"

namespace tasker::templates {

namespace {

bool is_template_file(const std::filesystem::directory_entry& entry) {
    const std::filesystem::path& path = entry.path();
    const std::string name = path.filename().string();
    return !name.starts_with('.') && (path.extension() == ".yaml" || path.extension() == ".yml") &&
           !entry.is_directory();
}

}  // namespace

bool TemplateDirectory::has_errors() const {
    return std::any_of(problems.begin(), problems.end(),
                       [](const Problem& problem) { return problem.severity == Severity::error; });
}

TemplateDirectory load_template_dir(const std::filesystem::path& path, std::string_view environment,
                                    const EnvLookup& env_lookup) {
    TemplateDirectory result;
    std::vector<std::filesystem::path> files;
    try {
        for (const std::filesystem::directory_entry& entry : std::filesystem::directory_iterator(path)) {
            if (is_template_file(entry)) files.push_back(entry.path());
        }
    } catch (const std::filesystem::filesystem_error& fault) {
        result.problems.push_back({path.string(), 0, 0, "",
                                   fmt::format("The directory cannot be read: {}.", fault.code().message()),
                                   Severity::error});
        return result;
    }
    if (files.empty()) {
        result.problems.push_back(
            {path.string(), 0, 0, "", "The directory holds no *.yaml or *.yml file.", Severity::warning});
    }
    std::sort(files.begin(), files.end());
    std::map<std::string, std::string> defined_in;
    for (const std::filesystem::path& file : files) {
        auto loaded = load_template_file(file, environment, env_lookup);
        const std::vector<Problem>& problems = loaded ? loaded->warnings : loaded.error();
        result.problems.insert(result.problems.end(), problems.begin(), problems.end());
        if (!loaded) continue;
        const auto [first, is_new] = defined_in.try_emplace(loaded->full_name(), file.string());
        if (is_new) {
            result.templates.push_back(std::move(*loaded));
        } else {
            result.problems.push_back(
                {file.string(), loaded->name_line, 1, "name",
                 fmt::format("{} is already defined in {}. Change the version or remove one.",
                             loaded->full_name(), first->second),
                 Severity::error});
        }
    }
    return result;
}

}  // namespace tasker::templates
