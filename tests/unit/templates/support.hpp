// What the template tests share: loading text without touching the environment, and looking for one problem.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "orchestrator/templates/load.hpp"

namespace tasker::templates {

using Variables = std::map<std::string, std::string, std::less<>>;

inline EnvLookup lookup_in(Variables variables) {
    return [variables = std::move(variables)](std::string_view name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        if (found == variables.end()) return std::nullopt;
        return found->second;
    };
}

inline tl::expected<Template, std::vector<Problem>> load(const std::string& text,
                                                         std::string_view environment = "",
                                                         Variables variables = {}) {
    return load_template_text(text, "t.yaml", environment, lookup_in(std::move(variables)));
}

inline std::string all_text(const std::vector<Problem>& problems) {
    std::string text;
    for (const Problem& problem : problems) text += to_string(problem) + "\n";
    return text;
}

inline Template load_or_fail(const std::string& text, std::string_view environment = "",
                             Variables variables = {}) {
    auto loaded = load(text, environment, std::move(variables));
    if (!loaded) {
        ADD_FAILURE() << all_text(loaded.error()) << text;
        return {};
    }
    return std::move(*loaded);
}

/// Four lines that every template needs; steps follow from line 5 on.
inline const std::string kHead =
    "name: sample\n"
    "namespace_name: tests\n"
    "version: 1.0.0\n"
    "step_templates:\n";

/// A template whose only step has these extra fields, each "key: value"; they begin in line 7.
inline std::string with_step(const std::string& fields) {
    return kHead + "  - name: one\n    handler_class: H\n" + (fields.empty() ? "" : "    " + fields + "\n");
}

/// The text is refused with exactly one problem, an error at this place whose message holds `part`.
inline void expect_refused(const std::string& text, int line, const std::string& field,
                           const std::string& part, Variables variables = {}) {
    const auto loaded = load(text, "", std::move(variables));
    ASSERT_FALSE(loaded.has_value()) << "accepted:\n" << text;
    ASSERT_EQ(loaded.error().size(), 1U) << all_text(loaded.error()) << text;
    const Problem& problem = loaded.error()[0];
    EXPECT_EQ(problem.file, "t.yaml");
    EXPECT_EQ(problem.severity, Severity::error);
    EXPECT_EQ(problem.line, line) << to_string(problem);
    EXPECT_EQ(problem.field, field) << to_string(problem);
    EXPECT_THAT(problem.message, ::testing::HasSubstr(part));
}

/// The text loads with exactly one warning at this place.
inline void expect_warning(const std::string& text, int line, const std::string& field,
                           const std::string& part) {
    const auto loaded = load(text);
    ASSERT_TRUE(loaded.has_value()) << all_text(loaded.error()) << text;
    ASSERT_EQ(loaded->warnings.size(), 1U) << all_text(loaded->warnings) << text;
    EXPECT_EQ(loaded->warnings[0].severity, Severity::warning);
    EXPECT_EQ(loaded->warnings[0].line, line) << to_string(loaded->warnings[0]);
    EXPECT_EQ(loaded->warnings[0].field, field);
    EXPECT_THAT(loaded->warnings[0].message, ::testing::HasSubstr(part));
}

}  // namespace tasker::templates
