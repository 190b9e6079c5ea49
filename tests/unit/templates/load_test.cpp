#include <gtest/gtest.h>

#include "tests/unit/templates/support.hpp"

namespace tasker::templates {
namespace {

std::vector<std::string> step_names(const Template& definition) {
    std::vector<std::string> names;
    for (const StepTemplate& step : definition.steps) names.push_back(step.name);
    return names;
}

TEST(LoadTemplate, MinimalTemplateGetsTheDefaults) {
    const Template definition = load_or_fail(with_step(""));
    EXPECT_EQ(definition.full_name(), "tests/sample:1.0.0");
    EXPECT_EQ(definition.identity, Identity::always_unique);
    EXPECT_EQ(definition.priority, 0);
    EXPECT_TRUE(definition.schema.is_null());
    EXPECT_EQ(definition.source_file, "t.yaml");
    EXPECT_TRUE(definition.warnings.empty());
    ASSERT_EQ(definition.steps.size(), 1U);
    StepTemplate expected;
    expected.name = "one";
    expected.handler_class = "H";
    expected.dependent_system = "default";
    EXPECT_EQ(definition.steps[0], expected);
    EXPECT_TRUE(expected.retryable);
    EXPECT_EQ(expected.retry_limit, 3);
    EXPECT_EQ(expected.timeout_seconds, 30);
    EXPECT_EQ(expected.backoff, (Backoff{1, 2, 300, 0.1}));
    EXPECT_EQ(expected.on_orphan, OrphanPolicy::retry);
    EXPECT_FALSE(expected.claim_first);
}

TEST(LoadTemplate, ReadsEveryKey) {
    const Template definition = load_or_fail(R"(
name: full
namespace_name: tests
version: 2.1.0-rc.1
description: Everything at once
task_handler_class: Tests::TaskHandler
schema: { type: object, required: [id], properties: { id: { type: integer } } }
default_dependent_system: commerce
identity: strict
priority: -5
step_templates:
  - name: charge
    description: Takes the money
    handler_class: Tests::ChargeHandler
    handler_config: { limits: { max: 5 }, codes: [1, two], live: true }
    default_retryable: true
    default_retry_limit: "7"
    retry_backoff: { base_seconds: 0.5, multiplier: 3, max_seconds: 60, jitter: 0 }
    max_retry_after_seconds: 3600
    max_snoozes: 48
    timeout_seconds: 2.5
    on_orphan: dead_letter
    claim_first: true
    dependent_system: bank
)");
    EXPECT_EQ(definition.version, "2.1.0-rc.1");
    EXPECT_EQ(definition.description, "Everything at once");
    EXPECT_EQ(definition.task_handler_class, "Tests::TaskHandler");
    EXPECT_EQ(definition.identity, Identity::strict);
    EXPECT_EQ(definition.priority, -5);
    EXPECT_EQ(definition.schema["required"][0], "id");
    ASSERT_EQ(definition.steps.size(), 1U);
    const StepTemplate& step = definition.steps[0];
    EXPECT_EQ(step.description, "Takes the money");
    EXPECT_EQ(step.handler_config,
              nlohmann::json::parse(R"({"limits":{"max":5},"codes":[1,"two"],"live":true})"));
    EXPECT_EQ(step.retry_limit, 7) << "numeric strings are accepted, as older templates have them";
    EXPECT_EQ(step.backoff, (Backoff{0.5, 3, 60, 0}));
    EXPECT_EQ(step.max_retry_after_seconds, 3600);
    EXPECT_EQ(step.max_snoozes, 48);
    EXPECT_EQ(step.timeout_seconds, 2.5);
    EXPECT_EQ(step.on_orphan, OrphanPolicy::dead_letter);
    EXPECT_TRUE(step.claim_first);
    EXPECT_EQ(step.dependent_system, "bank");
}

TEST(LoadTemplate, AcceptsAllFormsOfDependencies) {
    const Template definition = load_or_fail(kHead +
                                             "  - { name: a, handler_class: H }\n"
                                             "  - { name: b, handler_class: H, depends_on_step: a }\n"
                                             "  - { name: c, handler_class: H, depends_on_steps: a }\n"
                                             "  - { name: d, handler_class: H, depends_on_steps: [b, c] }\n"
                                             "  - { name: e, handler_class: H, depends_on_step: d, "
                                             "depends_on_steps: [a] }\n"
                                             "  - { name: f, handler_class: H, depends_on_steps: [] }\n");
    ASSERT_EQ(definition.steps.size(), 6U);
    std::map<std::string, std::vector<std::string>> parents;
    for (const StepTemplate& step : definition.steps) parents[step.name] = step.depends_on;
    EXPECT_EQ(parents["b"], (std::vector<std::string>{"a"}));
    EXPECT_EQ(parents["c"], (std::vector<std::string>{"a"}));
    EXPECT_EQ(parents["d"], (std::vector<std::string>{"b", "c"}));
    EXPECT_EQ(parents["e"], (std::vector<std::string>{"d", "a"}));
    EXPECT_TRUE(parents["f"].empty());
}

TEST(LoadTemplate, OrdersStepsParentsFirstOtherwiseAsWritten) {
    const Template definition =
        load_or_fail(kHead +
                     "  - { name: last, handler_class: H, depends_on_steps: [mid, extra] }\n"
                     "  - { name: mid, handler_class: H, depends_on_step: root }\n"
                     "  - { name: root, handler_class: H }\n"
                     "  - { name: extra, handler_class: H }\n");
    EXPECT_EQ(step_names(definition), (std::vector<std::string>{"root", "mid", "extra", "last"}));
}

TEST(LoadTemplate, VersionIsTakenAsSpelled) {
    std::string text = with_step("");
    text.replace(text.find("1.0.0"), 5, "1.10");
    EXPECT_EQ(load_or_fail(text).version, "1.10");
}

TEST(LoadTemplate, NameMayRepeatItsNamespace) {
    std::string text = with_step("");
    text.replace(text.find("sample"), 6, "tests/sample");
    EXPECT_EQ(load_or_fail(text).name, "sample");
}

TEST(LoadTemplate, InterpolatesScalarsAndTypesThemAfterwards) {
    const std::string text =
        with_step("timeout_seconds: ${SLOW:-2.5}\n    handler_config:\n      n: ${N}\n      s: \"${N}\"");
    const Template definition = load_or_fail(text, "", {{"N", "5"}});
    EXPECT_EQ(definition.steps.at(0).timeout_seconds, 2.5);
    EXPECT_EQ(definition.steps[0].handler_config["n"], 5);
    EXPECT_EQ(definition.steps[0].handler_config["s"], "5");
    EXPECT_EQ(load_or_fail(text, "", {{"N", "5"}, {"SLOW", "9"}}).steps.at(0).timeout_seconds, 9);
}

TEST(LoadTemplate, AVariableCannotChangeTheStructure) {
    const Template definition = load_or_fail(with_step("handler_config: { host: \"${HOST}\" }"), "",
                                             {{"HOST", "x }\n  - name: evil"}});
    ASSERT_EQ(definition.steps.size(), 1U);
    EXPECT_EQ(definition.steps[0].handler_config["host"], "x }\n  - name: evil");
}

TEST(LoadTemplate, StepsMayShareFieldsThroughAnchors) {
    const Template definition = load_or_fail(kHead +
                                             "  - &base { name: a, handler_class: H, timeout_seconds: 7 }\n"
                                             "  - { <<: *base, name: b }\n");
    ASSERT_EQ(definition.steps.size(), 2U);
    EXPECT_EQ(definition.steps[1].name, "b");
    EXPECT_EQ(definition.steps[1].timeout_seconds, 7);
}

TEST(LoadTemplate, OldWordForBackoffMeansTheDefaults) {
    EXPECT_EQ(load_or_fail(with_step("retry_backoff: exponential")).steps.at(0).backoff, Backoff{});
}

TEST(LoadTemplate, RetryableFalseMeansOneAttempt) {
    const Template definition = load_or_fail(with_step("default_retryable: false"));
    EXPECT_EQ(definition.steps.at(0).attempts_allowed(), 1);
    EXPECT_TRUE(definition.warnings.empty()) << "the default limit of 3 was not written by anybody";
}

TEST(LoadTemplate, WarnsWhereASettingCannotTakeEffect) {
    expect_warning(with_step("default_retryable: false\n    default_retry_limit: 4"), 8,
                   "step_templates[0].default_retry_limit", "one attempt, not 4");
    expect_warning(with_step("default_retryable: false\n    retry_backoff: { base_seconds: 2 }"), 8,
                   "step_templates[0].retry_backoff", "one attempt only");
    expect_warning(with_step("default_retry_limit: 1\n    on_orphan: retry"), 8,
                   "step_templates[0].on_orphan", "ends in error instead of a retry");
    expect_warning(with_step("retry_backoff: { base_seconds: 9, max_seconds: 3 }"), 7,
                   "step_templates[0].retry_backoff", "base_seconds (9) is above max_seconds (3)");
    expect_warning(with_step("skippable: true"), 7, "step_templates[0].skippable", "no effect");
    expect_warning("module_namespace: Orders\n" + with_step(""), 1, "module_namespace", "whole class name");
    expect_warning("schema: { type: array }\n" + with_step(""), 1, "schema.type", "refuses every task");
    expect_warning("schema:\n  required: [a, b]\n  properties: { a: {} }\n  additionalProperties: false\n" +
                       with_step(""),
                   2, "schema.required", "'b' is required but not among the properties");
    expect_warning("schema: { prefixItems: [] }\n" + with_step(""), 1, "schema.prefixItems", "not checked");
}

TEST(LoadTemplate, LargestTemplateLoads) {
    std::string text = kHead;
    for (std::size_t index = 0; index < kStepsMax; ++index) {
        text += "  - { name: s" + std::to_string(index) + ", handler_class: H";
        if (index > 0) text += ", depends_on_step: s" + std::to_string(index - 1);
        text += " }\n";
    }
    EXPECT_EQ(load_or_fail(text).steps.size(), kStepsMax);
    const auto one_more = load(text + "  - { name: more, handler_class: H }\n");
    ASSERT_FALSE(one_more.has_value());
    EXPECT_EQ(to_string(one_more.error().at(0)),
              "t.yaml:5:3: error: step_templates: 10001 steps are out of range: allowed is 1 to 10000.");
}

}  // namespace
}  // namespace tasker::templates
