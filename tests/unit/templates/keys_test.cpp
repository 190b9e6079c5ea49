// The table of keys: the reader takes exactly those, and likely words lead to them.
#include "orchestrator/templates/keys.hpp"

#include <gtest/gtest.h>

#include <array>

#include "tests/unit/templates/support.hpp"

namespace tasker::templates {
namespace {

constexpr std::array kMaps{
    KeyMap::root,           KeyMap::step, KeyMap::backoff, KeyMap::environment, KeyMap::listed_override,
    KeyMap::mapped_override};

// A good template, with these lines in a map of this kind.
std::string with_key(KeyMap map, const std::string& entry) {
    const std::string step = kHead + "  - { name: one, handler_class: H";
    switch (map) {
        case KeyMap::root:
            return kHead + "  - { name: one, handler_class: H }\n" + entry + "\n";
        case KeyMap::step:
            return step + ", " + entry + " }\n";
        case KeyMap::backoff:
            return step + ", retry_backoff: { " + entry + " } }\n";
        case KeyMap::environment:
            return step + " }\nenvironments: { test: { " + entry + " } }\n";
        case KeyMap::listed_override:
            return step + " }\nenvironments: { test: { step_templates: [ { name: one, " + entry +
                   " } ] } }\n";
        case KeyMap::mapped_override:
            return step + " }\nenvironments: { test: { step_overrides: { one: { " + entry + " } } } }\n";
    }
    return {};
}

std::vector<Problem> problems_of(const std::string& text) {
    const auto loaded = load(text, "test");
    return loaded ? loaded->warnings : loaded.error();
}

bool is_written_by_with_key(KeyMap map, const std::string& name) {
    const bool root = map == KeyMap::root && (name == "name" || name == "namespace_name" ||
                                              name == "version" || name == "step_templates");
    const bool step = map == KeyMap::step && (name == "name" || name == "handler_class");
    return root || step || (map == KeyMap::listed_override && name == "name");
}

TEST(Keys, OfTheTableAreAllReadByTheLoader) {
    int judged = 0;
    for (const KeyMap map : kMaps) {
        for (const Key& key : keys_of(map)) {
            if (is_written_by_with_key(map, key.name)) continue;
            // No key takes a list of lists, so whoever reads it complains at its place.
            const auto problems = problems_of(with_key(map, key.name + ": [[x]]"));
            ASSERT_FALSE(problems.empty()) << key.name << " is read by nobody";
            EXPECT_THAT(problems[0].field, ::testing::HasSubstr(key.name)) << all_text(problems);
            EXPECT_EQ(problems[0].message.find("Unknown key"), std::string::npos) << all_text(problems);
            const bool useless = key.use == KeyUse::without_effect;
            EXPECT_EQ(problems[0].severity, useless ? Severity::warning : Severity::error) << key.name;
            ++judged;
        }
    }
    EXPECT_GT(judged, 60);
}

TEST(Keys, OutsideTheTableAreUnknownInEveryMap) {
    for (const KeyMap map : kMaps) {
        const auto problems = problems_of(with_key(map, "qqqqqqqq: 1"));
        ASSERT_EQ(problems.size(), 1U) << all_text(problems);
        EXPECT_EQ(problems[0].message, "Unknown key 'qqqqqqqq'.");
    }
}

TEST(Keys, OfTheSchemaAreThoseOfTheTable) {
    const auto schema = template_schema();
    for (const Key& key : keys_of(KeyMap::step)) {
        const auto& property = schema["definitions"]["step"]["properties"][key.name];
        EXPECT_FALSE(property["description"].get<std::string>().empty()) << key.name;
        EXPECT_EQ(property.contains("examples"), key.use != KeyUse::without_effect) << key.name;
    }
    EXPECT_EQ(schema["properties"].size(), keys_of(KeyMap::root).size());
    EXPECT_EQ(schema["required"],
              nlohmann::ordered_json({"name", "namespace_name", "version", "step_templates"}));
    EXPECT_EQ(schema["definitions"]["step"]["properties"]["timeout_seconds"]["default"], 30);
    EXPECT_EQ(schema["definitions"]["backoff"]["properties"]["max_seconds"]["maximum"], kBackoffSecondsMax);
}

struct Guess {
    KeyMap map;
    const char* word;
    const char* hint;
};

TEST(Keys, LikelyWordsLeadToThem) {
    const std::vector<Guess> guesses{
        {KeyMap::step, "timeout", "Did you mean 'timeout_seconds'?"},
        {KeyMap::step, "timeout_second", "Did you mean 'timeout_seconds'?"},
        {KeyMap::step, "retries", "Did you mean 'default_retry_limit'?"},
        {KeyMap::step, "max_attempts", "Did you mean 'default_retry_limit'?"},
        {KeyMap::step, "retry_limit", "Did you mean 'default_retry_limit'?"},
        {KeyMap::step, "handler", "Did you mean 'handler_class'?"},
        {KeyMap::step, "depends_on", "Did you mean 'depends_on_steps'?"},
        {KeyMap::step, "dependencies", "Did you mean 'depends_on_steps'?"},
        {KeyMap::step, "depends_on_step_name", "Did you mean 'depends_on_step'?"},
        {KeyMap::step, "backoff", "Did you mean 'retry_backoff'?"},
        {KeyMap::step, "base_seconds", "It is a key of retry_backoff."},
        {KeyMap::root, "timeout_seconds", "It is a key of a step."},
        {KeyMap::root, "namespace", "Did you mean 'namespace_name'?"},
        {KeyMap::root, "input_schema", "Did you mean 'schema'?"},
        {KeyMap::backoff, "factor", "Did you mean 'multiplier'?"},
        {KeyMap::backoff, "base", "Did you mean 'base_seconds'?"},
        {KeyMap::mapped_override, "timeout", "Did you mean 'timeout_seconds'?"},
        {KeyMap::environment, "steps", "Did you mean 'step_templates'?"},
    };
    for (const Guess& guess : guesses) {
        const auto problems = problems_of(with_key(guess.map, std::string(guess.word) + ": 3"));
        ASSERT_EQ(problems.size(), 1U) << guess.word << "\n" << all_text(problems);
        EXPECT_THAT(problems[0].message, ::testing::HasSubstr(guess.hint)) << guess.word;
    }
}

TEST(Keys, OfOlderVersionsWarnAndChangeNothing) {
    const std::string text = with_key(KeyMap::root, "concurrent: true");
    expect_warning(text, 6, "concurrent", "has no effect");
    EXPECT_EQ(digest(load_or_fail(text)), digest(load_or_fail(with_key(KeyMap::root, ""))));
    expect_warning(with_key(KeyMap::root, "named_steps:"), 6, "named_steps", "has no effect");
}

TEST(Keys, RetryLimitOfZeroIsOneAttemptWhereNoRetryIsWanted) {
    const auto step =
        load_or_fail(with_step("default_retryable: false\n    default_retry_limit: 0")).steps.at(0);
    EXPECT_EQ(step.retry_limit, 1);
    EXPECT_EQ(step.attempts_allowed(), 1);
    EXPECT_TRUE(
        load_or_fail(with_step("default_retry_limit: 0\n    default_retryable: false")).warnings.empty());
    expect_refused(with_step("default_retry_limit: 0"), 7, "step_templates[0].default_retry_limit",
                   "0 is out of range: allowed is 1 to 1000");
    const auto below = load(with_step("default_retryable: false\n    default_retry_limit: -1"));
    ASSERT_FALSE(below.has_value());
    EXPECT_THAT(all_text(below.error()), ::testing::HasSubstr("-1 is out of range: allowed is 0 to 1000"));
}

}  // namespace
}  // namespace tasker::templates
