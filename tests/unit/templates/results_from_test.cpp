// results_from: ancestors whose results a step gets besides those of its direct parents.
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/templates/support.hpp"

namespace tasker::templates {
namespace {

std::string press(const std::string& publish) {
    return "name: page\nnamespace_name: press\nversion: 1.0.0\nstep_templates:\n"
           "  - { name: plan, handler_class: P }\n"
           "  - { name: write, handler_class: P, depends_on_step: plan }\n"
           "  - { name: check, handler_class: P, depends_on_steps: [write] }\n"
           "  - { name: publish, handler_class: P, depends_on_steps: [check], " +
           publish +
           " }\n"
           "  - { name: aside, handler_class: P }\n";
}

TEST(ResultsFrom, TakesAncestorsThatAreNoDirectParents) {
    for (const std::string written : {"results_from: [plan, write]", "results_from: [write, plan]"}) {
        const Template loaded = load_or_fail(press(written));
        EXPECT_TRUE(loaded.warnings.empty()) << all_text(loaded.warnings);
        for (const auto& step : loaded.steps)
            EXPECT_EQ(step.results_from.size(), step.name == "publish" ? 2U : 0U);
    }
    const Template single = load_or_fail(press("results_from: plan"));
    EXPECT_EQ(single.steps[3].results_from, std::vector<std::string>{"plan"});
    const auto again = from_configuration(to_configuration(single));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->steps[3], single.steps[3]);
}

TEST(ResultsFrom, RefusesWhatIsNoAncestor) {
    const std::string path = "step_templates[3].results_from[0]";
    expect_refused(press("results_from: [aside]"), 8, path, "'aside' is no ancestor of 'publish'");
    expect_refused(press("results_from: [publish]"), 8, path, "'publish' is no ancestor of 'publish'");
    expect_refused(press("results_from: [paln]"), 8, path, "There is no step 'paln' to take results from.");
    expect_refused(press("results_from: [plan, plan]"), 8, "step_templates[3].results_from[1]",
                   "is listed twice");
    expect_refused(press("results_from: { plan: true }"), 8, "step_templates[3].results_from",
                   "Expected a list of step names, found a map.");
}

TEST(ResultsFrom, OfADirectParentIsAWarningAndLeftOut) {
    expect_warning(press("results_from: [check]"), 8, "step_templates[3].results_from[0]",
                   "depends on 'check' directly");
    EXPECT_TRUE(load_or_fail(press("results_from: [check]")).steps[3].results_from.empty());
}

TEST(ResultsFrom, CannotDifferByEnvironment) {
    expect_refused(press("timeout_seconds: 5") +
                       "environments: { test: { step_overrides: { publish: { results_from: [plan] } } } }\n",
                   10, "environments.test.step_overrides.publish.results_from", "one shape everywhere");
}

TEST(ResultsFrom, IsCheckedForAWideTemplateInOnePass) {
    // 2 000 steps in a chain, each with the first and the one three before it: 64 ancestors a word, many words.
    std::string text = "name: wide\nnamespace_name: press\nversion: 1.0.0\nstep_templates:\n";
    for (int step = 0; step < 2000; ++step) {
        text += "  - { name: s" + std::to_string(step) + ", handler_class: P";
        if (step > 0) text += ", depends_on_step: s" + std::to_string(step - 1);
        if (step > 3) text += ", results_from: [s0, s" + std::to_string(step - 3) + "]";
        text += " }\n";
    }
    EXPECT_EQ(load_or_fail(text).steps.back().results_from, (std::vector<std::string>{"s0", "s1996"}));
}

}  // namespace
}  // namespace tasker::templates
