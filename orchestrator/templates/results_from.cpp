#include "orchestrator/templates/results_from.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>

namespace tasker::templates {
namespace {

using yaml::in_quotes;

constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
constexpr std::size_t kWordBits = 64;

std::uint64_t bit_of(std::size_t number) {
    return std::uint64_t{1} << (number % kWordBits);
}

/// Answers for some steps, the `named` ones, of which others they are ancestors. One pass over all edges; a bit for
/// each step and named one.
class Ancestors {
  public:
    Ancestors(const StepGraph& graph, const std::vector<std::size_t>& named);

    /// Whether `named` runs before `step`. False for a step itself.
    bool is_ancestor(std::size_t named, std::size_t step) const {
        const std::size_t number = numbers_[named];
        return (above_[step][number / kWordBits] & bit_of(number)) != 0;
    }

  private:
    using Bits = std::vector<std::uint64_t>;

    std::vector<Bits> above_;           // of each step: its ancestors among the named
    std::vector<std::size_t> numbers_;  // of each step: its number among the named, or kNone
};

Ancestors::Ancestors(const StepGraph& graph, const std::vector<std::size_t>& named)
    : above_(graph.parents.size()), numbers_(graph.parents.size(), kNone) {
    std::size_t count = 0;
    for (const std::size_t step : named) {
        if (numbers_[step] == kNone) numbers_[step] = count++;
    }
    const std::size_t words = (count + kWordBits - 1) / kWordBits;
    for (const std::size_t step : graph.order) {
        Bits& bits = above_[step];
        bits.resize(words);
        for (const std::size_t parent : graph.parents[step]) {
            for (std::size_t word = 0; word < words; ++word) bits[word] |= above_[parent][word];
            const std::size_t number = numbers_[parent];
            if (number != kNone) bits[number / kWordBits] |= bit_of(number);
        }
    }
}

std::vector<std::size_t> named_steps(const std::vector<StepSource>& sources, const StepGraph& graph) {
    std::vector<std::size_t> named;
    for (const StepSource& source : sources) {
        for (const Dependency& one : source.results_from) {
            const auto found = graph.by_name.find(one.name);
            if (found != graph.by_name.end()) named.push_back(found->second);
        }
    }
    return named;
}

void take_one(StepSource& source, std::size_t index, const Dependency& one, const StepGraph& graph,
              const Ancestors& ancestors, yaml::ProblemList& problems) {
    const Place& place = one.place;
    const auto& parents = graph.parents[index];
    const auto found = graph.by_name.find(one.name);
    if (found == graph.by_name.end()) {
        const std::string hint = problems.size() < 100 ? yaml::did_you_mean(one.name, graph.names) : "";
        problems.error(place.line, place.column, place.path,
                       fmt::format("There is no step {} to take results from.{}", in_quotes(one.name), hint));
    } else if (std::find(parents.begin(), parents.end(), found->second) != parents.end()) {
        problems.warning(
            place.line, place.column, place.path,
            fmt::format("{} depends on {} directly, so it gets its results without results_from.",
                        in_quotes(source.step.name), in_quotes(one.name)));
    } else if (!ancestors.is_ancestor(found->second, index)) {
        problems.error(
            place.line, place.column, place.path,
            fmt::format("{0} is no ancestor of {1}: it may still run when {1} starts. results_from takes "
                        "steps that {1} depends on through others.",
                        in_quotes(one.name), in_quotes(source.step.name)));
    } else {
        source.step.results_from.push_back(one.name);
    }
}

}  // namespace

void take_results_from(std::vector<StepSource>& sources, const StepGraph& graph,
                       yaml::ProblemList& problems) {
    if (std::all_of(sources.begin(), sources.end(),
                    [](const StepSource& source) { return source.results_from.empty(); })) {
        return;
    }
    const auto named = named_steps(sources, graph);
    if (named.size() > kEdgesMax) {
        problems.error(1, 1, "step_templates",
                       fmt::format("{} names in results_from are out of range: allowed are {}.", named.size(),
                                   kEdgesMax));
        return;
    }
    const Ancestors ancestors(graph, named);
    for (std::size_t index = 0; index < sources.size(); ++index) {
        for (const Dependency& one : sources[index].results_from)
            take_one(sources[index], index, one, graph, ancestors, problems);
    }
}

}  // namespace tasker::templates
