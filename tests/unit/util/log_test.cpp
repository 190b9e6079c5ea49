#include "orchestrator/util/log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace tasker::util::log {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;

class LogTest : public testing::Test {
  protected:
    void TearDown() override { configure(Level::info, Format::text); }

    static std::string written(Level level, std::string_view message, Fields fields) {
        testing::internal::CaptureStderr();
        write(level, message, fields);
        return testing::internal::GetCapturedStderr();
    }
};

TEST_F(LogTest, TextQuotesOnlyWhatNeedsIt) {
    const auto line =
        written(Level::info, "step failed",
                {{"task_id", 7}, {"name", "pay"}, {"why", "card \"x\" refused"}, {"ok", false}});
    EXPECT_THAT(
        line, EndsWith(" info    step failed task_id=7 name=pay why=\"card \\\"x\\\" refused\" ok=false\n"));
}

TEST_F(LogTest, HostileTextStaysOneLine) {
    const auto line = written(Level::warning, "bad", {{"text", "a\nb\x1b[2Jc"}});
    EXPECT_THAT(line, HasSubstr("text=\"a\\nb\\u001b[2Jc\"\n"));
}

TEST_F(LogTest, JsonLinesParse) {
    configure(Level::info, Format::json);
    const auto line =
        written(Level::error, "quote \" and \\ and \n",
                {{"count", 3}, {"share", 0.25}, {"text", "\ttab"}, {"none", std::nan("")}, {"yes", true}});
    const auto json = nlohmann::json::parse(line);
    EXPECT_EQ(json["level"], "error");
    EXPECT_EQ(json["message"], "quote \" and \\ and \n");
    EXPECT_EQ(json["count"], 3);
    EXPECT_EQ(json["share"], 0.25);
    EXPECT_EQ(json["text"], "\ttab");
    EXPECT_TRUE(json["none"].is_null());
    EXPECT_EQ(json["yes"], true);
}

TEST_F(LogTest, ALongTextIsCutBetweenTwoCharacters) {
    const std::string euros = "€";  // three bytes
    std::string text;
    while (text.size() < 300'000) text += euros;
    const auto line = written(Level::info, "long", {{"worker", text}});
    EXPECT_LT(line.size(), 2300U);
    EXPECT_THAT(line, HasSubstr("€… (300000 bytes)\""));
    configure(Level::info, Format::json);
    const auto json = nlohmann::json::parse(written(Level::info, text, {{"worker", text}}));
    EXPECT_THAT(json["worker"].get<std::string>(), EndsWith("€… (300000 bytes)"));
    EXPECT_THAT(json["message"].get<std::string>(), EndsWith("€… (300000 bytes)"));
}

TEST_F(LogTest, AFloodOfOneMessageIsCountedAndOthersAreWritten) {
    testing::internal::CaptureStderr();
    for (int i = 0; i < 1000; ++i) write(Level::warning, "the same again", {{"number", i}});
    write(Level::warning, "another one");
    for (int i = 0; i < 5; ++i) write(Level::debug, "asked for");
    const std::string lines = testing::internal::GetCapturedStderr();
    EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), kLinesMax + 1);
    EXPECT_THAT(lines, HasSubstr("number=199 suppressed_for_ms=10000\n"));
    EXPECT_THAT(lines, HasSubstr("another one"));
}

TEST_F(LogTest, LevelsBelowTheChosenOneAreSilent) {
    configure(Level::warning, Format::text);
    EXPECT_FALSE(enabled(Level::info));
    EXPECT_THAT(written(Level::info, "not this", {}), IsEmpty());
    EXPECT_THAT(written(Level::warning, "but this", {}), HasSubstr("but this"));
}

}  // namespace
}  // namespace tasker::util::log
