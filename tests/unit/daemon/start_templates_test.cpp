#include "orchestrator/daemon/start_templates.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/daemon/temp_folder.hpp"

namespace tasker {
namespace {

using ::testing::HasSubstr;

constexpr const char* kGood = R"(name: one
namespace_name: tests
version: 1.0.0
step_templates:
  - name: only
    handler_class: Tests::Only
)";

class StartTemplatesTest : public ::testing::Test {
  protected:
    bool check(const std::string& folder) {
        options::Options options;
        options.templates_dir = folder;
        testing::internal::CaptureStderr();
        const bool good = StartTemplates(options).check();
        log_ = testing::internal::GetCapturedStderr();
        return good;
    }

    testing_support::TempFolder folder_;
    std::string log_;
};

TEST_F(StartTemplatesTest, OffMeansNothingToDo) {
    EXPECT_FALSE(StartTemplates(options::Options{}).wanted()) << "the default";
    EXPECT_TRUE(check("off"));
    EXPECT_EQ(log_, "");
}

TEST_F(StartTemplatesTest, GoodFilesPass) {
    folder_.write("one.yaml", kGood);
    EXPECT_TRUE(check(folder_.path())) << log_;
}

TEST_F(StartTemplatesTest, ABadOneStopsTheStartNamingFileLineAndField) {
    folder_.write("one.yaml", kGood);
    const auto bad = folder_.write("two.yaml", std::string(kGood) + "    timeout_seconds: soon\n");
    EXPECT_FALSE(check(folder_.path()));
    EXPECT_THAT(log_, HasSubstr(bad + ":7:"));
    EXPECT_THAT(log_, HasSubstr("step_templates[0].timeout_seconds"));
    EXPECT_THAT(log_, HasSubstr("nothing was started"));
}

TEST_F(StartTemplatesTest, AFolderThatIsMissingOrEmptyStopsIt) {
    EXPECT_FALSE(check(folder_.path()));
    EXPECT_THAT(log_, HasSubstr("holds no *.yaml"));
    EXPECT_FALSE(check(folder_.file("nowhere")));
    EXPECT_THAT(log_, HasSubstr("there is no file or directory"));
}

}  // namespace
}  // namespace tasker
