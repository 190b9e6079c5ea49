// Template files as the command line and the orchestrator's start read them, before register_templates()
// writes them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "orchestrator/templates/template.hpp"

namespace tasker::api {

/// The templates that passed, and the problems (warnings included) of all files. With errors nothing may be
/// registered: all files or none.
struct TemplateFiles {
    std::vector<templates::Template> templates;
    std::vector<templates::Problem> problems;

    std::int64_t errors() const;
};

/// Why there is nothing to read, and what to do about it.
struct NoTemplates {
    std::string message;
    std::string advice;
};

/// Reads one file, or every *.yaml and *.yml directly in a folder. `environment` selects an entry of their
/// `environments`. A path that does not exist, or a folder without any such file, is NoTemplates.
tl::expected<TemplateFiles, NoTemplates> read_template_files(const std::filesystem::path& path,
                                                             std::string_view environment);

}  // namespace tasker::api
