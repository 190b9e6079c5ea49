// The live picture of a task: its steps as a tree with a progress bar, as lines of text. Pure; who prints
// them, and when, is task_watch's business.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/api/query.hpp"

namespace tasker::cli {

/// How much room there is, and whether colour may be used.
struct Canvas {
    std::size_t columns = 80;
    std::size_t rows = 24;
    bool color = false;
};

/// One line per step, drawn as a tree: each step hangs below its deepest parent, with the others named behind
/// it. A task with more steps than rows is summed up instead: counts per state and the steps that want
/// attention.
std::vector<std::string> draw_steps(const std::vector<api::StepProgress>& steps, const Canvas& canvas);

/// "[██████████░░░░░░░░░░]  2 of 4 steps".
std::string progress_bar(std::size_t done, std::size_t total, std::string_view noun, const Canvas& canvas);

/// How many of the steps are complete or resolved.
std::size_t finished_count(const std::vector<api::StepProgress>& steps);

}  // namespace tasker::cli
