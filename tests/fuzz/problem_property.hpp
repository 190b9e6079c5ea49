// The properties of problem lists: the answers of the readers of YAML.
#pragma once

#include <algorithm>
#include <vector>

#include "orchestrator/options/yaml/problem.hpp"
#include "tests/fuzz/text_property.hpp"

namespace tasker::fuzz {

inline void check_problem(const yaml::Problem& problem) {
    // A list of choices or a circle of twenty steps is long, but no message grows with the whole file.
    check_sentence(problem.message, 16 * 1024);
    check_storable(problem.field);
    require(problem.line >= 0 && problem.column >= 0, "places count from 1, or are 0 for the whole file");
    require(!problem.file.empty(), "a problem names its file");
}

/// Findings beside an accepted file: none of them an error.
inline void check_warnings(const std::vector<yaml::Problem>& warnings) {
    for (const auto& problem : warnings) {
        require(problem.severity == yaml::Severity::warning, "what is accepted has no errors",
                problem.message);
        check_problem(problem);
    }
}

/// A refusal has at least one error.
inline void check_problems(const std::vector<yaml::Problem>& problems) {
    require(std::any_of(problems.begin(), problems.end(),
                        [](const auto& problem) { return problem.severity == yaml::Severity::error; }),
            "a refusal has an error");
    for (const auto& problem : problems) check_problem(problem);
}

}  // namespace tasker::fuzz
