#include "orchestrator/core/step_order.hpp"

#include <algorithm>
#include <functional>
#include <queue>

namespace tasker::core {

namespace {

// Takes steps away whose parents are all taken, lowest index first; what is left lies on or behind a cycle.
class Peeling {
  public:
    explicit Peeling(const Parents& parents)
        : parents_(parents),
          children_(parents.size()),
          open_parents_(parents.size()),
          taken_(parents.size(), false) {
        for (std::size_t step = 0; step < parents.size(); ++step) {
            open_parents_[step] = parents[step].size();
            for (const std::size_t parent : parents[step]) children_[parent].push_back(step);
            if (open_parents_[step] == 0) ready_.push(step);
        }
    }

    void run(std::vector<std::size_t>& order) {
        while (!ready_.empty()) {
            const std::size_t step = ready_.top();
            ready_.pop();
            if (taken_[step]) continue;
            take(step);
            order.push_back(step);
        }
    }

    // One cycle among what is left, or an empty list when nothing is: every step that is left has a parent
    // that is left, so walking from parent to parent must come back to a step already seen.
    std::vector<std::size_t> find_cycle() {
        while (first_left_ < taken_.size() && taken_[first_left_]) ++first_left_;
        if (first_left_ == taken_.size()) return {};
        constexpr std::size_t unseen = static_cast<std::size_t>(-1);
        std::vector<std::size_t> seen_at(parents_.size(), unseen);
        std::vector<std::size_t> way;
        std::size_t step = first_left_;
        while (seen_at[step] == unseen) {
            seen_at[step] = way.size();
            way.push_back(step);
            step = *std::find_if(parents_[step].begin(), parents_[step].end(),
                                 [this](std::size_t parent) { return !taken_[parent]; });
        }
        way.erase(way.begin(), way.begin() + static_cast<std::ptrdiff_t>(seen_at[step]));
        std::rotate(way.begin(), std::min_element(way.begin(), way.end()), way.end());
        return way;
    }

    void take(std::size_t step) {
        taken_[step] = true;
        for (const std::size_t child : children_[step]) {
            if (--open_parents_[child] == 0 && !taken_[child]) ready_.push(child);
        }
    }

  private:
    const Parents& parents_;
    std::vector<std::vector<std::size_t>> children_;
    std::vector<std::size_t> open_parents_;
    std::vector<bool> taken_;
    std::size_t first_left_ = 0;
    std::priority_queue<std::size_t, std::vector<std::size_t>, std::greater<>> ready_;
};

}  // namespace

StepOrder order_steps(const Parents& parents) {
    // A file full of cycles is shown its first ones; each search costs time proportional to the number of
    // steps.
    constexpr std::size_t cycles_max = 20;
    StepOrder result;
    Peeling peeling(parents);
    peeling.run(result.order);
    for (std::vector<std::size_t> cycle = peeling.find_cycle();
         !cycle.empty() && result.cycles.size() < cycles_max; cycle = peeling.find_cycle()) {
        for (const std::size_t step : cycle) peeling.take(step);
        result.cycles.push_back(std::move(cycle));
        std::vector<std::size_t> behind;
        peeling.run(behind);
    }
    if (!result.cycles.empty()) result.order.clear();
    return result;
}

}  // namespace tasker::core
