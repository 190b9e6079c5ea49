// migrations/schema.sql is what a migrated database looks like.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/support/postgres.hpp"

namespace tasker::postgres {
namespace {

struct ProgramRun {
    int code = -1;
    std::string output;
};

ProgramRun run_program(const std::string& command) {
    ProgramRun result;
    FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
    if (pipe == nullptr) return result;
    std::array<char, 4096> chunk{};
    while (const auto read = std::fread(chunk.data(), 1, chunk.size(), pipe))
        result.output.append(chunk.data(), read);
    const int status = ::pclose(pipe);
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return result;
}

ProgramRun compare_with_file(const test::TestDatabase& database) {
    const char* source = std::getenv("TASKER_SOURCE_DIR");
    if (source == nullptr) return {-1, "TASKER_SOURCE_DIR is not set (ctest sets it)"};
    return run_program("/usr/bin/python3 '" + std::string(source) +
                       "/tests/support/dump_schema.py' --url \"" + database.url() + "\"");
}

TEST(SchemaFile, IsWhatAMigratedDatabaseLooksLike) {
    const test::TestDatabase database;
    const ProgramRun result = compare_with_file(database);
    if (result.code == 2) GTEST_SKIP() << result.output;
    EXPECT_EQ(result.code, 0) << result.output;
}

TEST(SchemaFile, IsStaleAfterAnyChange) {
    const test::TestDatabase database;
    Connection connection = database.connect();
    connection.execute("ALTER TABLE tasker_tasks ADD colour text");
    const ProgramRun result = compare_with_file(database);
    if (result.code == 2) GTEST_SKIP() << result.output;
    EXPECT_EQ(result.code, 1) << result.output;
    EXPECT_NE(result.output.find("+    colour text"), std::string::npos) << result.output;
}

}  // namespace
}  // namespace tasker::postgres
