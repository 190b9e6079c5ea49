// Files of the newer form: refused with advice, and converted with everything that can be expressed.
#include "orchestrator/templates/convert.hpp"

#include <gtest/gtest.h>

#include "tests/unit/templates/support.hpp"

namespace tasker::templates {
namespace {

const std::string kNewer = R"(name: refund
namespace_name: payments
version: 1.0.0
description: "Pays back: all of it"
metadata: { author: Ada, tags: [] }
task_handler: { callable: "Payments::RefundHandler", initialization: {} }
system_dependencies: { primary: bank, secondary: [] }
domain_events: []
identity_strategy: strict
input_schema: { type: object, required: [amount] }
steps:
  - name: check
    description: ""
    handler: { callable: "Payments::CheckHandler", method: , initialization: { "limit": 5, mode: "off", ratio: "1.0" } }
    system_dependency:
    dependencies: []
    type: standard
    retry: { retryable: true, max_attempts: 5, backoff: exponential, backoff_base_ms: 1500, max_backoff_ms: 30000 }
    timeout_seconds: ${CHECK_TIMEOUT:-20}
    publishes_events: []
  - name: pay
    handler: { callable: payments.pay }
    system_dependency: card
    dependencies: [check]
    retry: { retryable: false, max_attempts: 0, backoff: fixed }
environments:
  test:
    steps:
      - { name: ALL, timeout_seconds: 2, retry: { max_attempts: 2 } }
      - { name: check, timeout_seconds: 1, handler: { initialization: { limit: 1 } } }
)";

Conversion convert(const std::string& text) {
    auto converted = convert_template_text(text, "newer.yaml");
    if (!converted) {
        ADD_FAILURE() << all_text(converted.error());
        return {};
    }
    return std::move(*converted);
}

TEST(NewerForm, IsRefusedWithOneProblemThatNamesTheKeysToWrite) {
    expect_refused(kNewer, 12, "steps", "newer form");
    for (const char* part :
         {"step_templates for steps", "handler_class for handler.callable",
          "handler_config for handler.initialization", "depends_on_steps for dependencies",
          "default_retry_limit for retry.max_attempts", "`tasker template convert t.yaml`"}) {
        expect_refused(kNewer, 12, "steps", part);
    }
}

TEST(NewerForm, IsConvertedWithNothingLeftOut) {
    const Conversion converted = convert(kNewer);
    EXPECT_TRUE(converted.left_out.empty()) << all_text(converted.left_out);
    const Template loaded = load_or_fail(converted.text);
    ASSERT_EQ(loaded.warnings.size(), 1U) << all_text(loaded.warnings);
    EXPECT_EQ(loaded.warnings[0].field, "step_templates[1].retry_backoff") << "one attempt needs no pause";
    EXPECT_EQ(loaded.full_name(), "payments/refund:1.0.0");
    EXPECT_EQ(loaded.description, "Pays back: all of it");
    EXPECT_EQ(loaded.task_handler_class, "Payments::RefundHandler");
    EXPECT_EQ(loaded.identity, Identity::strict);
    EXPECT_EQ(loaded.schema, nlohmann::json::parse(R"({"type": "object", "required": ["amount"]})"));
    ASSERT_EQ(loaded.steps.size(), 2U);
    const StepTemplate& check = loaded.steps[0];
    EXPECT_EQ(check.handler_class, "Payments::CheckHandler");
    EXPECT_EQ(check.handler_config, nlohmann::json::parse(R"({"limit": 5, "mode": "off", "ratio": "1.0"})"));
    EXPECT_EQ(check.retry_limit, 5);
    EXPECT_EQ(check.backoff, (Backoff{1.5, 2, 30, 0.1}));
    EXPECT_EQ(check.timeout_seconds, 20);
    EXPECT_EQ(check.dependent_system, "bank");
    const StepTemplate& pay = loaded.steps[1];
    EXPECT_EQ(pay.depends_on, std::vector<std::string>{"check"});
    EXPECT_EQ(pay.attempts_allowed(), 1);
    EXPECT_EQ(pay.backoff.multiplier, 1);
    EXPECT_EQ(pay.dependent_system, "card");
}

TEST(NewerForm, KeepsVariablesAndMetadata) {
    const Conversion converted = convert(kNewer);
    EXPECT_THAT(converted.text, ::testing::HasSubstr("# metadata:\n#   author: Ada\n"));
    EXPECT_THAT(converted.text, ::testing::HasSubstr("timeout_seconds: ${CHECK_TIMEOUT:-20}\n"));
    EXPECT_EQ(load_or_fail(converted.text, "", {{"CHECK_TIMEOUT", "7"}}).steps[0].timeout_seconds, 7);
}

TEST(NewerForm, OverridesOfAllStepsAreThoseOfEachAndLaterOnesWin) {
    const Template loaded = load_or_fail(convert(kNewer).text, "test");
    EXPECT_EQ(loaded.steps[0].timeout_seconds, 1);
    EXPECT_EQ(loaded.steps[0].retry_limit, 2);
    EXPECT_EQ(loaded.steps[0].handler_config["limit"], 1);
    EXPECT_EQ(loaded.steps[0].handler_config["mode"], "off");
    EXPECT_EQ(loaded.steps[1].timeout_seconds, 2);
}

TEST(NewerForm, WhatHasNoCounterpartIsListedWithItsKey) {
    const Conversion converted = convert(
        "name: t\nnamespace_name: n\nversion: 1.0.0\nlifecycle: { max_wait_minutes: 5 }\nsteps:\n"
        "  - name: a\n    handler: { callable: A, method: run }\n    type: decision\n    result_schema: { type: object }\n"
        "    publishes_events: [ { name: done } ]\n"
        "    retry: { backoff: linear, backoff_base_ms: \"${MS}\", window: 3 }\n"
        "environments: { test: { steps: [ { name: a, dependencies: [b] } ], region: eu } }\n");
    std::vector<std::string> keys;
    for (const Problem& problem : converted.left_out) {
        EXPECT_EQ(problem.severity, Severity::error);
        EXPECT_THAT(problem.message, ::testing::HasSubstr("left out"));
        keys.push_back(problem.field);
    }
    EXPECT_THAT(keys, ::testing::UnorderedElementsAre(
                          "lifecycle", "steps[0].handler.method", "steps[0].type", "steps[0].result_schema",
                          "steps[0].publishes_events", "steps[0].retry.backoff",
                          "steps[0].retry.backoff_base_ms", "steps[0].retry.window",
                          "environments.test.steps[0].dependencies", "environments.test.region"));
    EXPECT_EQ(load_or_fail(converted.text, "test").steps.at(0).handler_class, "A");
}

TEST(NewerForm, OddShapesAreListedAndNeverLostSilently) {
    const Conversion converted = convert(
        "name: t\nsteps:\n  - just text\n  - { name: a, handler: A, retry: often }\n"
        "task_handler: T\nenvironments: { test: { steps: { a: 1 } }, old: [x], new: { steps: [ { timeout_seconds: 1 } ] } "
        "}\n");
    std::vector<std::string> keys;
    for (const Problem& problem : converted.left_out) keys.push_back(problem.field);
    EXPECT_THAT(keys, ::testing::UnorderedElementsAre("steps[0]", "steps[1].handler", "steps[1].retry",
                                                      "task_handler", "environments.test.steps",
                                                      "environments.old", "environments.new.steps[0]"));
    const Conversion list = convert("name: t\nsteps: []\nenvironments: [x]\n");
    ASSERT_EQ(list.left_out.size(), 1U);
    EXPECT_EQ(list.left_out[0].field, "environments");
}

TEST(NewerForm, OtherFilesAreNotConverted) {
    const auto refused = convert_template_text(with_step(""), "old.yaml");
    ASSERT_FALSE(refused.has_value());
    EXPECT_THAT(all_text(refused.error()), ::testing::HasSubstr("nothing to convert"));
    EXPECT_FALSE(convert_template_text("- a\n", "list.yaml").has_value());
    EXPECT_FALSE(convert_template_text("a: [", "broken.yaml").has_value());
}

}  // namespace
}  // namespace tasker::templates
