// From files and environment to Options.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "orchestrator/options/check.hpp"
#include "orchestrator/options/options.hpp"
#include "orchestrator/options/yaml/node.hpp"
#include "orchestrator/options/yaml/problem.hpp"

namespace tasker::options {

using yaml::EnvLookup;
using yaml::Problem;

/// What a successful load gives: the settings, where each came from, the files they were read from, and findings that
/// do not stop the start (to be logged).
struct LoadedOptions {
    Options options;
    Origins origins = {};
    std::vector<std::filesystem::path> files;
    std::vector<Problem> warnings;
};

/// Reads the settings. `config_file` is the main file (orchestrator.yaml) or nothing for defaults alone; a
/// zeromq.yaml beside it is read too. Any section may stand in either file, but no setting in both. Then the
/// environment variables of the table in settings.hpp are applied, and everything is checked together.
/// @return all problems found, warnings among them, when there is at least one error: each with file and line
/// (or "environment" and the variable), key, value and limit.
tl::expected<LoadedOptions, std::vector<Problem>> load_options(
    const std::optional<std::filesystem::path>& config_file,
    const EnvLookup& environment = yaml::process_environment());

}  // namespace tasker::options
