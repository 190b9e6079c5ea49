// What differs between two configurations of a template.
#include "orchestrator/templates/difference.hpp"

#include <gtest/gtest.h>

#include "tests/unit/templates/support.hpp"

namespace tasker::templates {
namespace {

using nlohmann::json;

json configuration(const std::string& text) {
    return to_configuration(load_or_fail(text));
}

std::vector<std::string> names(const std::vector<KeyChange>& changes) {
    std::vector<std::string> keys;
    for (const KeyChange& change : changes) keys.push_back(change.key);
    return keys;
}

const std::string kTwo = kHead +
                         "  - { name: one, handler_class: H, handler_config: { max: 5, keep: 1 } }\n"
                         "  - { name: two, handler_class: H }\n";

TEST(Differences, OfEqualTemplatesAreNone) {
    EXPECT_TRUE(compare(configuration(kTwo), configuration(kTwo)).empty());
    EXPECT_TRUE(compare(json::parse(configuration(kTwo).dump()), configuration(kTwo)).empty());
}

TEST(Differences, NameKeysOfTheTemplateAndOfSteps) {
    const std::string text =
        kHead +
        "  - { name: one, handler_class: H, timeout_seconds: 60, handler_config: { max: 6, more: a } }\n"
        "  - { name: two, handler_class: H }\npriority: 5\n";
    const Difference found = compare(configuration(kTwo), configuration(text));
    ASSERT_EQ(names(found.keys), std::vector<std::string>{"priority"});
    EXPECT_EQ(found.keys[0].before, json(0));
    EXPECT_EQ(found.keys[0].after, json(5));
    ASSERT_EQ(found.changed.size(), 1U);
    EXPECT_EQ(found.changed[0].name, "one");
    EXPECT_EQ(names(found.changed[0].keys),
              (std::vector<std::string>{"handler_config.keep", "handler_config.max", "handler_config.more",
                                        "timeout_seconds"}));
    EXPECT_FALSE(found.changed[0].keys[0].after.has_value());
    EXPECT_FALSE(found.changed[0].keys[2].before.has_value());
    EXPECT_FALSE(found.reordered);
}

TEST(Differences, NameStepsThatCameAndWent) {
    const std::string text = kHead +
                             "  - { name: two, handler_class: H }\n"
                             "  - { name: three, handler_class: H }\n";
    const Difference found = compare(configuration(kTwo), configuration(text));
    EXPECT_EQ(found.removed, std::vector<std::string>{"one"});
    EXPECT_EQ(found.added, std::vector<std::string>{"three"});
    EXPECT_TRUE(found.changed.empty());
    EXPECT_FALSE(found.reordered);
}

TEST(Differences, SeeAnotherOrderAndAnotherTypeOfNumber) {
    const std::string turned = kHead +
                               "  - { name: two, handler_class: H }\n"
                               "  - { name: one, handler_class: H, handler_config: { max: 5, keep: 1 } }\n";
    const Difference order = compare(configuration(kTwo), configuration(turned));
    EXPECT_TRUE(order.reordered);
    EXPECT_FALSE(order.empty());
    EXPECT_FALSE(compare(json{{"a", 1}}, json{{"a", 1.0}}).empty());
}

TEST(Differences, ToNothingAreEveryStepAndKey) {
    const Difference found = compare(json(), configuration(kTwo));
    EXPECT_EQ(found.added, (std::vector<std::string>{"one", "two"}));
    EXPECT_THAT(names(found.keys), ::testing::Contains("name"));
}

}  // namespace
}  // namespace tasker::templates
