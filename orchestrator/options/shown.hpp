// The settings in force, for people and scripts: each value and where it came from.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "orchestrator/options/load.hpp"

namespace tasker::options {

/// One line a setting, in the order of the reference: `key: value  # where it came from`. Secrets are hidden.
std::string shown_settings(const LoadedOptions& loaded);

/// {files [path], settings {key: {value, unit, from (default, file or environment), file, line, variable}}}; unit, file,
/// line and variable only where there is one. Secrets are hidden.
nlohmann::ordered_json shown_settings_json(const LoadedOptions& loaded);

}  // namespace tasker::options
