// Runs one `tasker` command line inside the test program.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace tasker::cli {

struct CommandRun {
    int code = 0;
    std::string out;
    std::string err;

    /// Standard output as JSON; a failed parse fails the test and gives null.
    nlohmann::json json() const;
};

/// `tasker --database URL ARGUMENTS…`.
CommandRun run_command(const std::string& database_url, const std::vector<std::string>& arguments);

}  // namespace tasker::cli
