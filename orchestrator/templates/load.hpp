// Templates from YAML files: reading, environment overrides, interpolation, and every check that needs no
// database.
//
// A file is read in four steps, each of which goes on after a problem so that one run shows everything that
// is wrong: the YAML tree, ${VAR} interpolation, the fields with the overrides of the selected environment,
// and the graph of dependencies. Overrides of the other environments are checked too, but may name variables
// that are not set here. An override changes what a step does, never which steps there are or how they depend
// on each other; its maps (handler_config, retry_backoff) are merged key by key into the step's own, anything
// else replaces.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "orchestrator/options/yaml/node.hpp"
#include "orchestrator/templates/template.hpp"

namespace tasker::templates {

using yaml::EnvLookup;

/// Loads one file. `environment` selects an entry of `environments`; one that the file does not mention
/// changes nothing. On success warnings are in Template::warnings; otherwise the list holds all errors and
/// warnings, by line.
tl::expected<Template, std::vector<Problem>> load_template_file(
    const std::filesystem::path& path, std::string_view environment,
    const EnvLookup& env_lookup = yaml::process_environment());

/// The same for text that is already in memory; `source` stands for the file name in problems.
tl::expected<Template, std::vector<Problem>> load_template_text(
    std::string_view text, const std::string& source, std::string_view environment,
    const EnvLookup& env_lookup = yaml::process_environment());

/// What a directory held: the templates that passed, and the problems (warnings included) of all files.
struct TemplateDirectory {
    std::vector<Template> templates;
    std::vector<Problem> problems;

    bool has_errors() const;
};

/// Loads every *.yaml and *.yml directly in `path`, by name; hidden files are skipped. What is no regular file, nor a link
/// to one, is named in a warning and not read. A problem behind a link out of `path` quotes nothing of that file. Two files that define
/// the same namespace, name and version are a problem, reported for the second; so is a directory that cannot
/// be read.
TemplateDirectory load_template_dir(const std::filesystem::path& path, std::string_view environment,
                                    const EnvLookup& env_lookup = yaml::process_environment());

}  // namespace tasker::templates
