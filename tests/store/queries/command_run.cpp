#include "tests/store/queries/command_run.hpp"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "orchestrator/cli/command_groups.hpp"

namespace tasker::cli {

nlohmann::json CommandRun::json() const {
    auto value = nlohmann::json::parse(out, nullptr, false);
    EXPECT_FALSE(value.is_discarded()) << "not JSON: " << out << err;
    return value.is_discarded() ? nlohmann::json() : value;
}

CommandRun run_command(const std::string& database_url, const std::vector<std::string>& arguments) {
    Context context;
    CLI::App app;
    build_command_line(app, context);
    std::vector<std::string> all = arguments;
    all.insert(all.end(), {"--database", database_url});
    // CLI11 takes them from the back.
    std::reverse(all.begin(), all.end());
    CommandRun run;
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    try {
        app.parse(all);
        run.code = static_cast<int>(context.run());
    } catch (const CLI::ParseError& error) {
        run.code = app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::usage);
    }
    std::fflush(stdout);
    run.out = testing::internal::GetCapturedStdout();
    run.err = testing::internal::GetCapturedStderr();
    return run;
}

}  // namespace tasker::cli
