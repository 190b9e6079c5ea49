// What the terminal shows, without a terminal and without a database.
#include <gtest/gtest.h>

#include "orchestrator/cli/exit_code.hpp"
#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/cli/show/task_tree.hpp"
#include "orchestrator/cli/template_name.hpp"

namespace tasker::cli {
namespace {

api::StepProgress step(const std::string& name, const std::string& state,
                       std::vector<std::size_t> parents = {}) {
    api::StepProgress result;
    result.name = name;
    result.state = state;
    result.attempts = 1;
    result.retry_limit = 3;
    result.parents = std::move(parents);
    return result;
}

TEST(IndentJson, ChangesOnlyWhiteSpace) {
    EXPECT_EQ(indent_json(R"({ "a" : [1,2.50,{}], "b":[ ],"c":"x, {y}: \"z\" \\" })"),
              "{\n  \"a\": [\n    1,\n    2.50,\n    {}\n  ],\n  \"b\": [],\n  \"c\": \"x, {y}: \\\"z\\\" "
              "\\\\\"\n}");
    EXPECT_EQ(indent_json("123456789012345678901234567890.125"), "123456789012345678901234567890.125");
    EXPECT_EQ(indent_json(""), "");
}

TEST(Cells, ShowTimesAndCutTexts) {
    EXPECT_EQ(cell_time("2025-06-30T12:34:56.789+00:00"), "2025-06-30 12:34:56Z");
    EXPECT_EQ(cell_time("2025-06-30T12:34:56-02:30"), "2025-06-30 12:34:56-02:30");
    EXPECT_EQ(cell_time(Json()), "");
    EXPECT_EQ(shortened("short", 5), "short");
    EXPECT_EQ(shortened("größer", 4), "grö…");
    EXPECT_EQ(shortened("a\x1b[2Jb", 20), "a\\u001b[2Jb");
    EXPECT_EQ(duration_text(0.04), "40 ms");
    EXPECT_EQ(duration_text(1.25), "1.2 s");
    EXPECT_EQ(duration_text(59.6), "1 min 0 s");
    EXPECT_EQ(duration_text(7'390), "2 h 3 min");
}

TEST(Printable, ShowsEscapedWhatATerminalWouldObey) {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"plain größer 漢字 🎉", "plain größer 漢字 🎉"},
        {"one\ntwo\r\tthree", "one two  three"},
        {std::string("nul\0", 4) + "\a\b\x7f", "nul\\u0000\\u0007\\u0008\\u007f"},
        {"\x1b]0;title\x07", "\\u001b]0;title\\u0007"},
        {"c1 \u0080\u009b2J\u009f\u00a0", "c1 \\u0080\\u009b2J\\u009f\u00a0"},
        {"\u202a\u202b\u202c\u202d\u202e", "\\u202a\\u202b\\u202c\\u202d\\u202e"},
        {"\u2066\u2067\u2068\u2069", "\\u2066\\u2067\\u2068\\u2069"},
        {"\u2029\u202f\u2065\u206a", "\u2029\u202f\u2065\u206a"},
        {"raw \x9b", "raw \\x9b"},
        {"cut \xe2\x80", "cut \\xe2\\x80"},
        {"over \xc0\xaf\xff", "over \\xc0\\xaf\\xff"},
    };
    for (const auto& [text, shown] : cases) EXPECT_EQ(printable(text), shown);
}

TEST(Printable, KeepsLinesAndOwnStylesInTexts) {
    const std::string own = styled("bad", Style::bad, true);
    EXPECT_EQ(printable_lines("a\n\t" + own + "\x1b[31mred\x1b[2J\r", true),
              "a\n\t" + own + "\x1b[31mred\\u001b[2J\\u000d");
    EXPECT_EQ(printable_lines(own, false), "\\u001b[31mbad\\u001b[0m");
    EXPECT_EQ(display_width(printable("\u202e")), 6U);
}

TEST(Tables, LeaveOutEmptyColumnsAndCutTheWidestTexts) {
    Table table({{"ID", Align::right}, {"NOTHING"}, {"TEXT"}, {"WHY"}});
    table.add({"7", "", "a rather long text", "short"});
    table.add({"12", "", "größer", "another reason"});
    EXPECT_EQ(table.text(false),
              "ID  TEXT                WHY\n"
              " 7  a rather long text  short\n"
              "12  größer              another reason\n");
    EXPECT_EQ(table.text(false, 28),
              "ID  TEXT         WHY\n"
              " 7  a rather l…  short\n"
              "12  größer       another re…\n");
    EXPECT_EQ(table.text(false, 1),
              "ID  TEXT      WHY\n"
              " 7  a rathe…  short\n"
              "12  größer    another…\n")
        << "no narrower than 8";
    EXPECT_EQ(Table({{"ID"}}).text(false), "");
}

TEST(TemplateNames, AreRead) {
    const auto full = parse_template_name("shop/order:1.0.0");
    EXPECT_EQ(full.namespace_name, "shop");
    EXPECT_EQ(full.name, "order");
    EXPECT_EQ(full.version, "1.0.0");
    EXPECT_EQ(parse_template_name("shop/order").version, std::nullopt);
    for (const char* bad :
         {"", "order", "/order", "shop/", "shop/order:", "shop/:1", "a/b/c", "shop:1/order"}) {
        EXPECT_THROW(parse_template_name(bad), CommandError) << bad;
    }
}

// a → b → d, a → c → d
TEST(StepTree, HangsEachStepBelowItsDeepestParent) {
    auto failed = step("c", "waiting_for_retry", {0});
    failed.attempts = 2;
    failed.retry_in = 7.4;
    failed.error = "no luck";
    const auto lines = draw_steps(
        {step("a", "complete"), step("b", "in_progress", {0}), failed, step("d", "pending", {1, 2})},
        {.columns = 100, .rows = 24, .color = false});
    ASSERT_EQ(lines.size(), 4U);
    EXPECT_EQ(lines[0], "✔ a        complete         ");
    EXPECT_EQ(lines[1], "├─ ▶ b     in_progress      ");
    EXPECT_EQ(lines[2], "│  └─ · d  pending            also after c");
    EXPECT_EQ(lines[3], "└─ ↻ c     waiting_for_retry  attempt 2 of 3, next in 7.4 s, no luck");
}

TEST(StepTree, SumsUpWhatDoesNotFit) {
    std::vector<api::StepProgress> steps(50, step("s", "complete"));
    steps[7] = step("broken", "error");
    steps[7].error = "no luck";
    steps[9] = step("busy", "in_progress");
    const auto lines = draw_steps(steps, {.columns = 100, .rows = 24, .color = false});
    ASSERT_EQ(lines.size(), 3U);
    EXPECT_EQ(lines[0], "1 in_progress   48 complete   1 error");
    EXPECT_TRUE(lines[1].starts_with("✘ broken")) << lines[1];
    EXPECT_TRUE(lines[2].starts_with("▶ busy")) << lines[2];
}

TEST(StepTree, OfALongChainStaysOnTheScreen) {
    std::vector<api::StepProgress> steps = {step("s", "complete")};
    for (std::size_t i = 1; i < 200; ++i) steps.push_back(step("s", "pending", {i - 1}));
    const auto lines = draw_steps(steps, {.columns = 120, .rows = 500, .color = false});
    ASSERT_EQ(lines.size(), 200U);
    for (const auto& line : lines) EXPECT_LE(display_width(line), 120U);
}

TEST(ProgressBar, FillsUp) {
    const Canvas canvas{.columns = 80, .rows = 24, .color = false};
    EXPECT_TRUE(progress_bar(0, 4, "steps", canvas).starts_with("░"));
    EXPECT_TRUE(progress_bar(2, 4, "steps", canvas).ends_with("░  2 of 4 steps"));
    EXPECT_TRUE(progress_bar(4, 4, "steps", canvas).ends_with("█  4 of 4 steps"));
    EXPECT_TRUE(progress_bar(0, 0, "steps", canvas).ends_with("0 of 0 steps"));
}

}  // namespace
}  // namespace tasker::cli
