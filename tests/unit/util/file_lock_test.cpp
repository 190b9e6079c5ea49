#include "orchestrator/util/file_lock.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <optional>

#include "orchestrator/util/process.hpp"

namespace tasker::util {
namespace {

namespace fs = std::filesystem;

class FileLockTest : public testing::Test {
  protected:
    FileLockTest() {
        std::string pattern = (fs::temp_directory_path() / "tasker-lock-XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
        path_ = folder_ / "lock";
    }
    ~FileLockTest() override { fs::remove_all(folder_); }

    fs::path folder_;
    fs::path path_;
};

TEST_F(FileLockTest, SecondTakerLearnsWhoHoldsIt) {
    const auto first = FileLock::try_acquire(path_, "pid 4711");
    ASSERT_TRUE(first) << first.error().text;
    const auto second = FileLock::try_acquire(path_, "pid 4712");
    ASSERT_FALSE(second);
    EXPECT_TRUE(second.error().held);
    EXPECT_EQ(second.error().holder, "pid 4711");
    EXPECT_TRUE(FileLock::is_held(path_));
}

TEST_F(FileLockTest, IsFreeAgainAfterItsHolder) {
    std::optional<FileLock> held = *FileLock::try_acquire(path_, "a rather long label of the first holder");
    held.reset();
    EXPECT_FALSE(FileLock::is_held(path_));
    EXPECT_TRUE(FileLock::try_acquire(path_, "b"));
    std::string label;
    std::getline(std::ifstream(path_), label);
    EXPECT_EQ(label, "b");
}

TEST_F(FileLockTest, ProgramsStartedMeanwhileDoNotKeepIt) {
    std::optional<FileLock> held = *FileLock::try_acquire(path_, "parent");
    auto child = Process::spawn({.arguments = {"sleep", "60"}});
    ASSERT_TRUE(child) << child.error();
    held.reset();
    EXPECT_FALSE(FileLock::is_held(path_));
}

TEST_F(FileLockTest, UnusableFileIsNotCalledHeld) {
    const auto lock = FileLock::try_acquire(folder_ / "missing" / "lock", "x");
    ASSERT_FALSE(lock);
    EXPECT_FALSE(lock.error().held);
    EXPECT_THAT(lock.error().text, testing::HasSubstr("No such file or directory"));
    EXPECT_FALSE(FileLock::is_held(folder_ / "missing" / "lock"));
}

}  // namespace
}  // namespace tasker::util
