// Directed acyclic graphs of steps, by index: ordering, cycles, levels.
#pragma once

#include <cstddef>
#include <tl/expected.hpp>
#include <vector>

namespace tasker::core {

/// parents[i] lists the indexes of step i's parents (all < parents.size(); anything else is a caller's
/// error).
using Parents = std::vector<std::vector<std::size_t>>;

/// One cycle as indexes in walking order; the first is not repeated at the end.
struct Cycle {
    std::vector<std::size_t> steps;
};

/// All steps, parents before children, ties by index, so the order is the same on every run. Error: one
/// cycle.
tl::expected<std::vector<std::size_t>, Cycle> topological_order(const Parents& parents);

/// Longest distance from a root, per step (roots 0). The graph must have no cycle.
std::vector<std::size_t> dependency_levels(const Parents& parents);

}  // namespace tasker::core
