#include "tests/store/queries/command_run.hpp"

#include <gtest/gtest.h>

#include "orchestrator/cli/command_line.hpp"

namespace tasker::cli {

nlohmann::json CommandRun::json() const {
    auto value = nlohmann::json::parse(out, nullptr, false);
    EXPECT_FALSE(value.is_discarded()) << "not JSON: " << out << err;
    return value.is_discarded() ? nlohmann::json() : value;
}

CommandRun run_command(const std::string& database_url, const std::vector<std::string>& arguments) {
    std::vector<std::string> all = arguments;
    all.insert(all.end(), {"--database", database_url});
    CommandRun run;
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    run.code = run_command_line(all);
    std::fflush(stdout);
    run.out = testing::internal::GetCapturedStdout();
    run.err = testing::internal::GetCapturedStderr();
    return run;
}

}  // namespace tasker::cli
