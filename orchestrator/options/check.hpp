// Rules between settings, which no single limit can express.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/options/options.hpp"
#include "orchestrator/options/yaml/problem.hpp"

namespace tasker::options {

/// Where a setting got its value: file and key as written there, or "environment" and the variable.
struct Origin {
    std::string file;
    std::string name;
    int line = 0;
    int column = 0;
};

/// By setting key; a setting that has its default is absent.
using Origins = std::map<std::string_view, Origin>;

/// Checks what settings demand of each other: heartbeat < suspect < lease, distinct endpoints, no open port
/// without allow_insecure, and so on. Expects each value to be within its own limits.
std::vector<yaml::Problem> cross_check(const Options& options, const Origins& origins);

}  // namespace tasker::options
