#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <system_error>

#include "orchestrator/templates/load.hpp"

namespace tasker::templates {

namespace {

namespace fs = std::filesystem;

bool has_template_name(const fs::path& path) {
    return !path.filename().string().starts_with('.') &&
           (path.extension() == ".yaml" || path.extension() == ".yml");
}

// Why this is not read, or nothing: reading a pipe or a device could wait for ever.
std::optional<std::string> unreadable(const fs::path& path) {
    std::error_code code;
    const fs::file_status status = fs::status(path, code);
    if (fs::is_regular_file(status)) return std::nullopt;
    if (fs::is_symlink(fs::symlink_status(path, code)) && !fs::exists(status)) {
        return "This link leads nowhere, so it is not read.";
    }
    return "This is no regular file, so it is not read.";
}

// Whether the file is a link to something outside of the directory. Problems quote what they are about, and what stands
// in a foreign file is not for whoever can place a link.
bool leads_out(const fs::path& file, const fs::path& directory) {
    std::error_code code;
    if (!fs::is_symlink(fs::symlink_status(file, code))) return false;
    const fs::path target = fs::canonical(file, code);
    if (code) return true;
    const fs::path home = fs::canonical(directory, code);
    if (code) return true;
    return std::mismatch(home.begin(), home.end(), target.begin(), target.end()).first != home.end();
}

tl::expected<Template, std::vector<Problem>> load_one(const fs::path& file, const fs::path& directory,
                                                      std::string_view environment,
                                                      const EnvLookup& env_lookup) {
    auto loaded = load_template_file(file, environment, env_lookup);
    if (loaded || !leads_out(file, directory)) return loaded;
    return tl::unexpected(std::vector<Problem>{
        {file.string(), 0, 0, "",
         "This link leads out of the directory, to a file that is no good template. Check that file by its own name.",
         Severity::error}});
}

}  // namespace

bool TemplateDirectory::has_errors() const {
    return std::any_of(problems.begin(), problems.end(),
                       [](const Problem& problem) { return problem.severity == Severity::error; });
}

TemplateDirectory load_template_dir(const std::filesystem::path& path, std::string_view environment,
                                    const EnvLookup& env_lookup) {
    TemplateDirectory result;
    std::vector<fs::path> files;
    try {
        for (const fs::directory_entry& entry : fs::directory_iterator(path)) {
            std::error_code code;
            if (has_template_name(entry.path()) && !fs::is_directory(entry.path(), code))
                files.push_back(entry.path());
        }
    } catch (const fs::filesystem_error& fault) {
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
    for (const fs::path& file : files) {
        if (auto why = unreadable(file)) {
            result.problems.push_back({file.string(), 0, 0, "", std::move(*why), Severity::warning});
            continue;
        }
        auto loaded = load_one(file, path, environment, env_lookup);
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
