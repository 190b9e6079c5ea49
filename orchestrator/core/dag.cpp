#include "orchestrator/core/dag.hpp"

#include <algorithm>
#include <functional>
#include <queue>

namespace tasker::core {
namespace {

// Walks from a step that is on or behind a cycle towards its unfinished parents until a step comes again.
Cycle find_cycle(const Parents& parents, const std::vector<bool>& ordered, std::size_t start) {
    std::vector<std::size_t> path;
    std::vector<std::size_t> place(parents.size(), parents.size());
    std::size_t step = start;
    while (place[step] == parents.size()) {
        place[step] = path.size();
        path.push_back(step);
        const auto& candidates = parents[step];
        step =
            *std::find_if(candidates.begin(), candidates.end(), [&](std::size_t p) { return !ordered[p]; });
    }
    Cycle cycle{{path.begin() + static_cast<std::ptrdiff_t>(place[step]), path.end()}};
    // The walk went from child to parent; people read a cycle from parent to child.
    std::reverse(cycle.steps.begin(), cycle.steps.end());
    return cycle;
}

}  // namespace

tl::expected<std::vector<std::size_t>, Cycle> topological_order(const Parents& parents) {
    const std::size_t count = parents.size();
    std::vector<std::vector<std::size_t>> children(count);
    std::vector<std::size_t> waiting(count);
    std::priority_queue<std::size_t, std::vector<std::size_t>, std::greater<>> ready;
    for (std::size_t step = 0; step < count; ++step) {
        waiting[step] = parents[step].size();
        if (waiting[step] == 0) ready.push(step);
        for (const std::size_t parent : parents[step]) children[parent].push_back(step);
    }
    std::vector<std::size_t> order;
    std::vector<bool> ordered(count, false);
    order.reserve(count);
    while (!ready.empty()) {
        const std::size_t step = ready.top();
        ready.pop();
        order.push_back(step);
        ordered[step] = true;
        for (const std::size_t child : children[step]) {
            if (--waiting[child] == 0) ready.push(child);
        }
    }
    if (order.size() == count) return order;
    const auto stuck =
        static_cast<std::size_t>(std::find(ordered.begin(), ordered.end(), false) - ordered.begin());
    return tl::make_unexpected(find_cycle(parents, ordered, stuck));
}

std::vector<std::size_t> dependency_levels(const Parents& parents) {
    std::vector<std::size_t> levels(parents.size(), 0);
    const auto order = topological_order(parents);
    if (!order) return levels;
    for (const std::size_t step : *order) {
        for (const std::size_t parent : parents[step])
            levels[step] = std::max(levels[step], levels[parent] + 1);
    }
    return levels;
}

}  // namespace tasker::core
