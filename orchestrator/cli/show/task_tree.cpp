#include "orchestrator/cli/show/task_tree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/cli/show/table.hpp"

namespace tasker::cli {
namespace {

using api::StepProgress;

// Deeper steps are drawn at this indentation: a chain of hundreds must not run off the screen.
constexpr std::size_t kIndentLevelsMax = 20;
constexpr std::size_t kBarColumns = 30;
constexpr std::size_t kNoParent = static_cast<std::size_t>(-1);

const char* mark_of(const std::string& state) {
    if (state == "complete" || state == "resolved_manually") return "✔";
    if (state == "in_progress") return "▶";
    if (state == "waiting_for_retry") return "↻";
    if (state == "error") return "✘";
    if (state == "cancelled") return "⊘";
    return "·";
}

std::string remark_on(const StepProgress& step) {
    std::string text;
    if (step.attempts > 1 || step.state == "waiting_for_retry") {
        text += fmt::format("attempt {} of {}", step.attempts, step.retry_limit);
    }
    const auto add = [&](const std::string& more) { text += (text.empty() ? "" : ", ") + more; };
    if (step.retry_in) add(fmt::format("next in {}", duration_text(*step.retry_in)));
    if (step.took && step.state == "complete") add(duration_text(*step.took));
    if (!step.error.empty() && step.state != "complete") add(step.error);
    return text;
}

/// The tree to draw: for each step the one parent it hangs below, and its children in order.
struct Forest {
    std::vector<std::size_t> parent;
    std::vector<std::vector<std::size_t>> children;
    std::vector<std::size_t> roots;
};

Forest plant(const std::vector<StepProgress>& steps) {
    Forest forest{std::vector<std::size_t>(steps.size(), kNoParent),
                  std::vector<std::vector<std::size_t>>(steps.size()),
                  {}};
    std::vector<std::size_t> level(steps.size(), 0);
    for (std::size_t i = 0; i < steps.size(); ++i) {
        // Steps come in topological order, so the levels of all parents are known.
        for (const auto parent : steps[i].parents) {
            if (forest.parent[i] == kNoParent || level[parent] > level[forest.parent[i]])
                forest.parent[i] = parent;
        }
        if (forest.parent[i] == kNoParent) {
            forest.roots.push_back(i);
        } else {
            level[i] = level[forest.parent[i]] + 1;
            forest.children[forest.parent[i]].push_back(i);
        }
    }
    return forest;
}

std::string step_line(const StepProgress& step, const std::string& branch, const std::string& behind,
                      std::size_t name_width, const Canvas& canvas) {
    const Style style = style_of_state(step.state);
    const std::string name = branch + mark_of(step.state) + " " + printable(step.name);
    const std::string padding(name_width > display_width(name) ? name_width - display_width(name) : 0, ' ');
    std::string remark = remark_on(step);
    if (!behind.empty()) remark += (remark.empty() ? "" : "  ") + behind;
    const std::size_t used = std::max(name_width, display_width(name)) + 2 + 17 + 2;
    const std::size_t room = canvas.columns > used + 8 ? canvas.columns - used : 8;
    std::string line = styled(name, style, canvas.color) + padding + "  " +
                       styled(fmt::format("{:<17}", step.state), style, canvas.color);
    if (!remark.empty()) line += "  " + styled(shortened(remark, room), Style::dim, canvas.color);
    return line;
}

std::string other_parents(const std::vector<StepProgress>& steps, std::size_t index,
                          std::size_t drawn_parent) {
    const auto& parents = steps[index].parents;
    if (parents.size() < 2) return {};
    if (parents.size() > 4) return fmt::format("after {} steps", parents.size());
    std::string text;
    for (const auto parent : parents) {
        if (parent != drawn_parent) text += (text.empty() ? "also after " : ", ") + steps[parent].name;
    }
    return text;
}

std::vector<std::string> draw_tree(const std::vector<StepProgress>& steps, const Canvas& canvas) {
    struct Entry {
        std::size_t index;
        std::string branch;
    };
    const Forest forest = plant(steps);
    std::vector<Entry> order;
    struct Open {
        std::size_t index;
        std::string prefix;  // what stands before the branch sign
        bool last;
        std::size_t level;
    };
    std::vector<Open> open;
    for (auto root = forest.roots.rbegin(); root != forest.roots.rend(); ++root)
        open.push_back({*root, "", true, 0});
    while (!open.empty()) {
        const Open one = open.back();
        open.pop_back();
        const bool root = one.level == 0;
        order.push_back({one.index, root ? "" : one.prefix + (one.last ? "└─ " : "├─ ")});
        const auto& children = forest.children[one.index];
        const bool deeper = one.level < kIndentLevelsMax;
        const std::string prefix = root ? "" : deeper ? one.prefix + (one.last ? "   " : "│  ") : one.prefix;
        for (std::size_t i = children.size(); i-- > 0;) {
            open.push_back({children[i], prefix, i + 1 == children.size(), one.level + 1});
        }
    }
    std::size_t width = 0;
    for (const auto& entry : order) {
        width = std::max(width,
                         display_width(entry.branch) + 2 + display_width(printable(steps[entry.index].name)));
    }
    width = std::min(width, canvas.columns / 2);
    std::vector<std::string> lines;
    lines.reserve(order.size());
    for (const auto& entry : order) {
        lines.push_back(step_line(steps[entry.index], entry.branch,
                                  other_parents(steps, entry.index, forest.parent[entry.index]), width,
                                  canvas));
    }
    return lines;
}

std::vector<std::string> sum_up(const std::vector<StepProgress>& steps, const Canvas& canvas) {
    constexpr const char* order[] = {"pending", "in_progress", "waiting_for_retry", "complete",
                                     "error",   "cancelled",   "resolved_manually"};
    std::map<std::string, std::size_t> counts;
    for (const auto& step : steps) ++counts[step.state];
    std::string summary;
    for (const char* state : order) {
        if (counts[state] == 0) continue;
        summary += (summary.empty() ? "" : "   ") +
                   styled(fmt::format("{} {}", counts[state], state), style_of_state(state), canvas.color);
    }
    std::vector<std::string> lines = {summary};
    const std::size_t room = canvas.rows > 4 ? canvas.rows - 4 : 1;
    // What failed matters more than what merely runs.
    for (const std::string_view wanted : {"error", "waiting_for_retry", "in_progress"}) {
        for (const auto& step : steps) {
            if (step.state != wanted) continue;
            if (lines.size() >= room) return lines;
            lines.push_back(step_line(step, "", "", 32, canvas));
        }
    }
    return lines;
}

}  // namespace

std::vector<std::string> draw_steps(const std::vector<StepProgress>& steps, const Canvas& canvas) {
    return steps.size() + 3 <= canvas.rows ? draw_tree(steps, canvas) : sum_up(steps, canvas);
}

std::string progress_bar(std::size_t done, std::size_t total, std::string_view noun, const Canvas& canvas) {
    const std::size_t filled = total == 0 ? 0 : done * kBarColumns / total;
    std::string full;
    std::string rest;
    for (std::size_t i = 0; i < kBarColumns; ++i) (i < filled ? full : rest) += i < filled ? "█" : "░";
    return styled(full, Style::good, canvas.color) + styled(rest, Style::dim, canvas.color) +
           fmt::format("  {} of {} {}", done, total, noun);
}

std::size_t finished_count(const std::vector<StepProgress>& steps) {
    return static_cast<std::size_t>(std::count_if(steps.begin(), steps.end(), [](const StepProgress& step) {
        return step.state == "complete" || step.state == "resolved_manually";
    }));
}

}  // namespace tasker::cli
