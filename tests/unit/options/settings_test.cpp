#include "orchestrator/options/settings.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <sstream>

namespace tasker::options {
namespace {

TEST(Settings, EachIsDescribedOnceAndHasLimits) {
    std::set<std::string_view> keys;
    for (const Setting& setting : settings()) {
        EXPECT_TRUE(keys.insert(setting.key).second) << setting.key;
        EXPECT_GT(setting.description.size(), 20U) << setting.key;
        EXPECT_EQ(find_setting(setting.key), &setting);
        const bool numeric = std::holds_alternative<int* (*)(Options&)>(setting.slot) ||
                             std::holds_alternative<std::int64_t* (*)(Options&)>(setting.slot) ||
                             std::holds_alternative<milliseconds* (*)(Options&)>(setting.slot);
        if (!numeric) continue;
        EXPECT_LT(setting.min, setting.max) << setting.key;
        const std::int64_t value = std::stoll(value_text(setting, Options{}));
        EXPECT_LE(setting.min, value) << setting.key;
        EXPECT_GE(setting.max, value) << setting.key;
        // The slot may be an int: no value within the limits may overflow it.
        if (std::holds_alternative<int* (*)(Options&)>(setting.slot)) {
            EXPECT_LE(setting.max, std::numeric_limits<int>::max()) << setting.key;
        }
    }
}

TEST(Settings, AliasesLeadToTheSameSetting) {
    EXPECT_EQ(find_setting("step_execution.rust_step_publisher"),
              find_setting("step_execution.step_publisher"));
    EXPECT_EQ(find_setting("step_execution.rust_result_subscriber"),
              find_setting("step_execution.result_subscriber"));
    EXPECT_EQ(find_setting("nonsense"), nullptr);
}

TEST(SettingsReference, NamesEverySettingWithDefaultLimitsAndVariable) {
    const std::string text = settings_reference(100);
    for (const Setting& setting : settings()) {
        EXPECT_NE(text.find("\n  " + std::string(setting.key) + "\n"), std::string::npos) << setting.key;
        EXPECT_NE(text.find(setting.environment_variable), std::string::npos) << setting.key;
    }
    EXPECT_NE(text.find("whole number, ms, 10 to 60000, default 1000"), std::string::npos);
    EXPECT_NE(text.find("default tcp://127.0.0.1:5555"), std::string::npos);
    EXPECT_NE(text.find("Reserved until the HTTP interface exists"), std::string::npos);
    EXPECT_NE(text.find("trace | debug | info | warning | error, default info"), std::string::npos);
    std::istringstream lines(settings_reference(70));
    for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(line.size(), 70U) << line;
    }
}

}  // namespace
}  // namespace tasker::options
