#include <gtest/gtest.h>

#include "tests/unit/templates/support.hpp"

namespace tasker::templates {
namespace {

// Steps in lines 5 to 7, environments from line 8 on.
std::string with_environments(const std::string& environments) {
    return kHead +
           "  - { name: one, handler_class: H, handler_config: { max: 50, keep: 1, deep: { a: 1, b: 2 } },\n"
           "      retry_backoff: { base_seconds: 4, max_seconds: 9 } }\n"
           "  - { name: two, handler_class: H, depends_on_step: one }\n"
           "environments:\n" +
           environments;
}

TEST(Environments, ListFormOverridesTheSelectedOneOnly) {
    const std::string text =
        with_environments("  test: { step_templates: [ { name: one, handler_config: { max: 5 } } ] }\n");
    EXPECT_EQ(load_or_fail(text, "test").steps.at(0).handler_config["max"], 5);
    EXPECT_EQ(load_or_fail(text, "production").steps.at(0).handler_config["max"], 50);
    EXPECT_EQ(load_or_fail(text, "").steps.at(0).handler_config["max"], 50);
}

TEST(Environments, MapFormDoesTheSame) {
    const std::string text = with_environments(
        "  test:\n"
        "    step_overrides:\n"
        "      one: { retry_limit: 7, timeout_seconds: 1.5, handler_config: { max: 5 } }\n"
        "      two: { retryable: false, handler_class: Fake, on_orphan: dead_letter }\n");
    const Template definition = load_or_fail(text, "test");
    EXPECT_EQ(definition.steps.at(0).retry_limit, 7);
    EXPECT_EQ(definition.steps[0].timeout_seconds, 1.5);
    EXPECT_EQ(definition.steps[0].handler_config["max"], 5);
    EXPECT_FALSE(definition.steps.at(1).retryable);
    EXPECT_EQ(definition.steps[1].handler_class, "Fake");
    EXPECT_EQ(definition.steps[1].on_orphan, OrphanPolicy::dead_letter);
    EXPECT_EQ(definition.steps[1].depends_on, (std::vector<std::string>{"one"}));
}

TEST(Environments, MapsAreMergedEverythingElseReplaced) {
    const std::string text = with_environments(
        "  test: { step_overrides: { one: { handler_config: { deep: { b: 3, c: [4] } }, "
        "retry_backoff: { base_seconds: 0.5 } } } }\n");
    const Template definition = load_or_fail(text, "test");
    EXPECT_EQ(definition.steps.at(0).handler_config,
              nlohmann::json::parse(R"({"max":50,"keep":1,"deep":{"a":1,"b":3,"c":[4]}})"));
    EXPECT_EQ(definition.steps[0].backoff, (Backoff{0.5, 2, 9, 0.1}));
}

TEST(Environments, BothFormsMayStandTogether) {
    const std::string text = with_environments(
        "  test:\n    step_templates: [ { name: one, timeout_seconds: 1 } ]\n"
        "    step_overrides: { two: { timeout_seconds: 2 } }\n  empty:\n");
    const Template definition = load_or_fail(text, "test");
    EXPECT_EQ(definition.steps.at(0).timeout_seconds, 1);
    EXPECT_EQ(definition.steps.at(1).timeout_seconds, 2);
    load_or_fail(text, "empty");
}

TEST(Environments, MistakesAreFoundInEveryEnvironment) {
    expect_refused(with_environments("  other: { step_templates: [ { name: ones, timeout_seconds: 1 } ] }\n"),
                   9, "environments.other.step_templates[0].name",
                   "There is no step 'ones' to override. Did you mean 'one'?");
    expect_refused(with_environments("  other:\n    step_overrides:\n      three: { timeout_seconds: 1 }\n"),
                   11, "environments.other.step_overrides.three", "There is no step 'three' to override.");
    expect_refused(with_environments("  other: { step_overrides: { one: { retry_limit: 0 } } }\n"), 9,
                   "environments.other.step_overrides.one.retry_limit", "0 is out of range");
    expect_refused(with_environments("  other: { step_overrides: { one: { retry: 1 } } }\n"), 9,
                   "environments.other.step_overrides.one.retry", "Unknown key 'retry'");
    expect_refused(with_environments("  other: { steps: {} }\n"), 9, "environments.other.steps",
                   "Unknown key 'steps'");
    expect_refused(with_environments("  other: 5\n"), 9, "environments.other", "Expected a map");
    expect_refused(with_environments("  other: { step_overrides: [1] }\n"), 9,
                   "environments.other.step_overrides", "Expected a map");
    expect_refused(with_environments("  other: { step_templates: {} }\n"), 9,
                   "environments.other.step_templates", "Expected a list");
}

TEST(Environments, AStepIsOverriddenOnceAndItsDependenciesNever) {
    expect_refused(with_environments("  test:\n    step_templates: [ { name: one } ]\n"
                                     "    step_overrides: { one: {} }\n"),
                   11, "environments.test.step_overrides.one", "overridden twice");
    expect_refused(with_environments("  test: { step_overrides: { two: { depends_on_steps: [] } } }\n"), 9,
                   "environments.test.step_overrides.two.depends_on_steps", "cannot change dependencies");
}

TEST(Environments, VariablesOfOtherEnvironmentsMayBeMissing) {
    const std::string text = with_environments(
        "  production: { step_overrides: { one: { timeout_seconds: \"${PROD_TIMEOUT}\", "
        "handler_config: { url: \"http://${PROD_HOST}\" } } } }\n");
    EXPECT_EQ(load_or_fail(text, "test").steps.at(0).timeout_seconds, 30);
    const auto selected = load(text, "production");
    ASSERT_FALSE(selected.has_value());
    ASSERT_EQ(selected.error().size(), 3U) << all_text(selected.error());
    EXPECT_THAT(all_text(selected.error()), ::testing::HasSubstr("PROD_TIMEOUT is not set"));
    EXPECT_THAT(all_text(selected.error()), ::testing::HasSubstr("PROD_HOST is not set"));
}

}  // namespace
}  // namespace tasker::templates
