#include <gtest/gtest.h>

#include "tests/unit/templates/support.hpp"

namespace tasker::templates {
namespace {

TEST(RefuseTemplate, MissingKeys) {
    expect_refused("namespace_name: n\nversion: 1\nstep_templates: [{ name: a, handler_class: H }]\n", 1,
                   "name", "required key 'name' is missing");
    expect_refused("name: n\nversion: 1\nstep_templates: [{ name: a, handler_class: H }]\n", 1,
                   "namespace_name", "missing");
    expect_refused("name: n\nnamespace_name: n\nstep_templates: [{ name: a, handler_class: H }]\n", 1,
                   "version", "missing");
    expect_refused("name: n\nnamespace_name: n\nversion: 1\n", 1, "step_templates", "missing");
    expect_refused(kHead + "  - { handler_class: H }\n", 5, "step_templates[0].name", "missing");
    expect_refused(kHead + "  - { name: a }\n", 5, "step_templates[0].handler_class", "missing");
    expect_refused(kHead + "  - { name: a, handler_class: }\n", 5, "step_templates[0].handler_class",
                   "no value");
}

TEST(RefuseTemplate, UnknownKeysWithAHint) {
    expect_refused("desciption: x\n" + with_step(""), 1, "desciption",
                   "Unknown key 'desciption'. Did you mean 'description'?");
    expect_refused(with_step("timeout_second: 3"), 7, "step_templates[0].timeout_second",
                   "Did you mean 'timeout_seconds'?");
    expect_refused(with_step("retry_limit: 3"), 7, "step_templates[0].retry_limit",
                   "Unknown key 'retry_limit'.");
    expect_refused(with_step("retry_backoff: { base: 3 }"), 7, "step_templates[0].retry_backoff.base",
                   "Unknown key");
    expect_refused(with_step("zzzzzz: 3"), 7, "step_templates[0].zzzzzz", "Unknown key 'zzzzzz'.");
}

TEST(RefuseTemplate, DuplicateSteps) {
    expect_refused(kHead +
                       "  - { name: a, handler_class: H }\n  - { name: b, handler_class: H }\n"
                       "  - handler_class: H\n    name: a\n",
                   8, "step_templates[2].name", "The step 'a' is defined twice, first in line 5.");
}

TEST(RefuseTemplate, DuplicateKeys) {
    expect_refused(with_step("timeout_seconds: 3\n    timeout_seconds: 4"), 8, "timeout_seconds",
                   "given twice");
}

TEST(RefuseTemplate, UnknownDependencies) {
    const std::string head = kHead + "  - { name: validate_order, handler_class: H }\n";
    expect_refused(
        head + "  - name: pay\n    handler_class: H\n    depends_on_steps:\n      - validate_ordr\n", 9,
        "step_templates[1].depends_on_steps[0]",
        "There is no step 'validate_ordr' to depend on. Did you mean 'validate_order'?");
    expect_refused(head + "  - { name: pay, handler_class: H, depends_on_step: elsewhere }\n", 6,
                   "step_templates[1].depends_on_step", "There is no step 'elsewhere' to depend on.");
    expect_refused(head + "  - { name: pay, handler_class: H, depends_on_steps: elsewhere }\n", 6,
                   "step_templates[1].depends_on_steps", "There is no step 'elsewhere'");
}

TEST(RefuseTemplate, DependencyListedTwiceOrOfTheWrongType) {
    const std::string head = kHead + "  - { name: a, handler_class: H }\n";
    expect_refused(head + "  - { name: b, handler_class: H, depends_on_steps: [a, a] }\n", 6,
                   "step_templates[1].depends_on_steps[1]", "'a' is listed twice, first in line 6");
    expect_refused(head + "  - { name: b, handler_class: H, depends_on_step: a, depends_on_steps: [a] }\n", 6,
                   "step_templates[1].depends_on_steps[0]", "listed twice");
    expect_refused(head + "  - { name: b, handler_class: H, depends_on_steps: { a: 1 } }\n", 6,
                   "step_templates[1].depends_on_steps", "Expected a list of step names, found a map.");
    expect_refused(head + "  - { name: b, handler_class: H, depends_on_steps: [3] }\n", 6,
                   "step_templates[1].depends_on_steps[0]", "Expected text, found a whole number '3'");
    expect_refused(head + "  - { name: b, handler_class: H, depends_on_steps: [[a]] }\n", 6,
                   "step_templates[1].depends_on_steps[0]", "Expected text, found a list");
}

TEST(RefuseTemplate, CyclesAreShown) {
    expect_refused(kHead +
                       "  - { name: a, handler_class: H, depends_on_step: c }\n"
                       "  - { name: b, handler_class: H, depends_on_step: a }\n"
                       "  - { name: c, handler_class: H, depends_on_step: b }\n"
                       "  - { name: d, handler_class: H, depends_on_step: c }\n",
                   5, "step_templates[0].depends_on_step", "in a circle: a → c → b → a");
    expect_refused(kHead +
                       "  - { name: root, handler_class: H }\n"
                       "  - name: a\n    handler_class: H\n    depends_on_steps:\n      - root\n      - a\n",
                   10, "step_templates[1].depends_on_steps[1]", "in a circle: a → a");
}

TEST(RefuseTemplate, EveryCycleIsReported) {
    const auto loaded = load(kHead +
                             "  - { name: a, handler_class: H, depends_on_step: b }\n"
                             "  - { name: b, handler_class: H, depends_on_step: a }\n"
                             "  - { name: x, handler_class: H, depends_on_step: y }\n"
                             "  - { name: y, handler_class: H, depends_on_step: x }\n");
    ASSERT_FALSE(loaded.has_value());
    ASSERT_EQ(loaded.error().size(), 2U) << all_text(loaded.error());
    EXPECT_THAT(loaded.error()[0].message, ::testing::HasSubstr("a → b → a"));
    EXPECT_THAT(loaded.error()[1].message, ::testing::HasSubstr("x → y → x"));
    EXPECT_EQ(loaded.error()[1].line, 7);
}

TEST(RefuseTemplate, NumbersOutOfRange) {
    const std::string step = "step_templates[0].";
    expect_refused(with_step("default_retry_limit: 0"), 7, step + "default_retry_limit",
                   "0 is out of range: allowed is 1 to 1000 attempts, the first included.");
    expect_refused(with_step("default_retry_limit: \"0\""), 7, step + "default_retry_limit", "out of range");
    expect_refused(with_step("default_retry_limit: 1001"), 7, step + "default_retry_limit", "out of range");
    expect_refused(with_step("default_retry_limit: -1"), 7, step + "default_retry_limit", "out of range");
    expect_refused(with_step("timeout_seconds: 0"), 7, step + "timeout_seconds",
                   "0 is out of range: allowed is 0.001 to 86400 seconds.");
    expect_refused(with_step("timeout_seconds: 86400.5"), 7, step + "timeout_seconds", "out of range");
    expect_refused(with_step("retry_backoff: { multiplier: 0.5 }"), 7, step + "retry_backoff.multiplier",
                   "allowed is 1 to 100");
    expect_refused(with_step("retry_backoff: { base_seconds: -1 }"), 7, step + "retry_backoff.base_seconds",
                   "allowed is 0 to 86400");
    expect_refused(with_step("retry_backoff: { jitter: 1.1 }"), 7, step + "retry_backoff.jitter",
                   "allowed is 0 to 1");
    expect_refused(with_step("max_retry_after_seconds: -1"), 7, step + "max_retry_after_seconds",
                   "allowed is 0 to 31536000 seconds");
    expect_refused(with_step("max_snoozes: -1"), 7, step + "max_snoozes", "allowed is 0 to 1000000 times");
    expect_refused("priority: 1001\n" + with_step(""), 1, "priority", "allowed is -1000 to 1000");
}

TEST(RefuseTemplate, WrongTypes) {
    const std::string step = "step_templates[0].";
    expect_refused(with_step("default_retry_limit: three"), 7, step + "default_retry_limit",
                   "Expected a whole number, found text 'three'.");
    expect_refused(with_step("default_retry_limit: 2.5"), 7, step + "default_retry_limit",
                   "Expected a whole number");
    expect_refused(with_step("timeout_seconds: 30s"), 7, step + "timeout_seconds", "Expected a number");
    expect_refused(with_step("default_retryable: 1"), 7, step + "default_retryable",
                   "Expected true or false");
    expect_refused(with_step("claim_first: maybe"), 7, step + "claim_first", "Expected true or false");
    expect_refused(with_step("handler_config: [1]"), 7, step + "handler_config",
                   "Expected a map, found a list");
    expect_refused(with_step("handler_config: { a: { b: .inf } }"), 7, step + "handler_config.a.b",
                   "no form in JSON");
    expect_refused(with_step("retry_backoff: linear"), 7, step + "retry_backoff",
                   "Expected a map, found text");
    expect_refused(with_step("on_orphan: ignore"), 7, step + "on_orphan",
                   "'ignore' is none of retry, dead_letter.");
    expect_refused("identity: uniqe\n" + with_step(""), 1, "identity", "is none of always_unique, strict");
    expect_refused("name: n\nnamespace_name: n\nversion: 1\nstep_templates: { a: 1 }\n", 4, "step_templates",
                   "Expected a list of steps, found a map");
    expect_refused("name: n\nnamespace_name: n\nversion: 1\nstep_templates: []\n", 4, "step_templates",
                   "0 steps are out of range");
    expect_refused(kHead + "  - just text\n", 5, "step_templates[0]",
                   "Expected a map, found text 'just text'");
    expect_refused("- a\n- b\n", 1, "", "Expected a map, found a list.");
    expect_refused("description: 5\n" + with_step(""), 1, "description", "in quotes if text is meant");
}

TEST(RefuseTemplate, BadNames) {
    const auto with = [](const std::string& key, const std::string& value) {
        std::string text = with_step("");
        const std::size_t at = text.find(key + ": ") + key.size() + 2;
        return text.replace(at, text.find('\n', at) - at, value);
    };
    expect_refused(with("name", "'a b'"), 1, "name", "'a b' is no name");
    expect_refused(with("name", "''"), 1, "name", "is no name");
    expect_refused(with("namespace_name", "größe"), 2, "namespace_name", "is no name");
    expect_refused(with("namespace_name", std::string(129, 'x')), 2, "namespace_name", "the limit is 128");
    expect_refused(with("version", "1 beta"), 3, "version", "'1 beta' is no version");
    expect_refused(with("version", std::string(65, '1')), 3, "version", "the limit is 64");
    expect_refused(with("name", "other/sample"), 1, "name",
                   "names the namespace 'other', but namespace_name is 'tests'");
    expect_refused(with("name", "tests/a/b"), 1, "name", "'a/b' is no name");
    expect_refused(kHead + "  - { name: \"a/b\", handler_class: H }\n", 5, "step_templates[0].name",
                   "is no name");
    expect_refused(kHead + "  - { name: a, handler_class: \"Foo Bar\" }\n", 5,
                   "step_templates[0].handler_class", "is no class name");
    expect_refused(kHead + "  - { name: a, handler_class: \"Foo::*\" }\n", 5,
                   "step_templates[0].handler_class", "is no class name");
    expect_refused(kHead + "  - { name: a, handler_class: " + std::string(256, 'H') + " }\n", 5,
                   "step_templates[0].handler_class", "the limit is 255");
}

TEST(RefuseTemplate, MalformedYaml) {
    expect_refused(kHead + "  - { name: a, handler_class: H\n", 6, "", "Malformed YAML");
    expect_refused(with_step("handler_config: { n: ${N} }"), 7, "",
                   "Inside { } and [ ] write \"${NAME}\" in quotes.");
    expect_refused("", 1, "", "empty");
    expect_refused("name: \xFF\n", 1, "", "not valid UTF-8");
}

TEST(RefuseTemplate, MissingVariable) {
    expect_refused(with_step("handler_config:\n      url: http://${API_HOST}/x"), 8,
                   "step_templates[0].handler_config.url", "The environment variable API_HOST is not set.");
    expect_refused(with_step("timeout_seconds: ${SLOW}"), 7, "step_templates[0].timeout_seconds",
                   "Expected a number, found text 'soon'", {{"SLOW", "soon"}});
}

TEST(RefuseTemplate, OversizedConfiguration) {
    expect_refused(with_step("handler_config: { blob: " + std::string(kHandlerConfigBytesMax, 'x') + " }"), 7,
                   "step_templates[0].handler_config", "the limit is 262144");
}

TEST(RefuseTemplate, AllProblemsOfAFileAreReportedInOrder) {
    const auto loaded = load(
        "name: bad name\n"
        "namespace_name: tests\n"
        "colour: blue\n"
        "schema: { type: objekt }\n"
        "step_templates:\n"
        "  - { name: a, handler_class: H, default_retry_limit: 0 }\n"
        "  - { name: a, handler_class: H, default_retryable: false, default_retry_limit: 2 }\n"
        "  - { name: b, handler_class: H, depends_on_step: nobody }\n"
        "  - { name: c, handler_class: H, depends_on_step: d }\n"
        "  - { name: d, handler_class: H, depends_on_step: c }\n"
        "environments:\n"
        "  test: { step_overrides: { e: {} } }\n");
    ASSERT_FALSE(loaded.has_value());
    std::vector<int> lines;
    int warnings = 0;
    for (const Problem& problem : loaded.error()) {
        lines.push_back(problem.line);
        if (problem.severity == Severity::warning) ++warnings;
    }
    EXPECT_EQ(lines, (std::vector<int>{1, 1, 3, 4, 6, 7, 7, 8, 9, 12})) << all_text(loaded.error());
    EXPECT_EQ(warnings, 1);
}

}  // namespace
}  // namespace tasker::templates
