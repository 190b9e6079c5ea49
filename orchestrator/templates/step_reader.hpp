// Internal to the loader: one step from its YAML map, whole or as an override.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/options/yaml/reader.hpp"
#include "orchestrator/templates/template.hpp"

namespace tasker::templates {

/// Where a value stands, for problems found after reading.
struct Place {
    int line = 0;
    int column = 0;
    std::string path;
};

/// One `depends_on` entry as written.
struct Dependency {
    std::string name;
    Place place;
};

/// A step with what later checks need to know about its text. The optional places are set when the key is
/// written.
struct StepSource {
    StepTemplate step;
    Place place;
    Place name_place;
    std::vector<Dependency> dependencies;
    std::vector<Dependency> results_from;
    std::optional<Place> retry_limit;
    std::optional<Place> retryable;
    std::optional<Place> backoff;
    std::optional<Place> on_orphan;
};

/// A name as templates, namespaces and steps have it ([A-Za-z0-9_.-]+, at most kNameBytesMax), or nothing and
/// a problem.
std::optional<std::string> read_name(const yaml::Located& value, yaml::ProblemList& problems);

/// Reads an entry of step_templates. A step whose name is unusable keeps an empty name.
StepSource read_step(const yaml::Located& value, yaml::ProblemList& problems);

enum class OverrideForm { list, map };

/// Applies an entry of an environment to `target`: the list form carries its own `name`. The spellings
/// `retry_limit` and `retryable` are accepted here as the older map form has them.
void apply_override(const yaml::Located& value, OverrideForm form, StepSource& target,
                    yaml::ProblemList& problems);

/// Warnings and checks that need the effective values of a step.
void check_step(const StepSource& source, yaml::ProblemList& problems);

}  // namespace tasker::templates
