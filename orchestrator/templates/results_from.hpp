// Internal to the loader: the ancestors whose results a step gets besides those of its direct parents.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

#include "orchestrator/core/step_order.hpp"
#include "orchestrator/templates/step_reader.hpp"

namespace tasker::templates {

/// The steps of a template by their indexes. `order` has all of them, parents first.
struct StepGraph {
    const core::Parents& parents;
    const std::vector<std::size_t>& order;
    const std::unordered_map<std::string, std::size_t>& by_name;
    const std::vector<std::string>& names;
};

/// Fills `results_from` of each step from what is written. A name that is no step, or no ancestor, is an error: it
/// might still run when the step starts. That of a direct parent is left out with a warning.
void take_results_from(std::vector<StepSource>& sources, const StepGraph& graph, yaml::ProblemList& problems);

}  // namespace tasker::templates
