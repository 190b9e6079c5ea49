// Order and cycles of a template's steps.
#pragma once

#include <cstddef>
#include <vector>

namespace tasker::core {

/// `parents[i]` are the indexes of the steps that step i depends on.
using Parents = std::vector<std::vector<std::size_t>>;

/// Either every step in `order` (parents first, otherwise by index), or at least one cycle. A cycle lists its
/// steps along "depends on", each once, beginning with its lowest index; every knot of cycles gives at least
/// one.
struct StepOrder {
    std::vector<std::size_t> order;
    std::vector<std::vector<std::size_t>> cycles;
};

StepOrder order_steps(const Parents& parents);

}  // namespace tasker::core
