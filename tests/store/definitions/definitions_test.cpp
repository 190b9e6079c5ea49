#include "orchestrator/store/definitions.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "orchestrator/templates/template.hpp"
#include "tests/support/postgres.hpp"

namespace tasker::store {
namespace {

using nlohmann::json;

templates::StepTemplate step(const std::string& name, std::vector<std::string> parents = {}) {
    templates::StepTemplate result;
    result.name = name;
    result.description = "does " + name;
    result.handler_class = "Shop::" + name;
    result.depends_on = std::move(parents);
    result.dependent_system = "payments";
    result.timeout_seconds = 0.25;
    return result;
}

/// a → b, a → c, (b, c) → d
templates::Template diamond(const std::string& name = "diamond", const std::string& version = "1.0.0") {
    templates::Template result;
    result.namespace_name = "shop";
    result.name = name;
    result.version = version;
    result.steps = {step("a"), step("b", {"a"}), step("c", {"a"}), step("d", {"b", "c"})};
    result.steps[1].retryable = false;
    result.steps[2].on_orphan = templates::OrphanPolicy::dead_letter;
    return result;
}

class Definitions : public testing::Test {
  protected:
    std::int64_t count(const std::string& table) {
        return sql.execute("SELECT count(*) FROM " + table).at(0)[0].as<std::int64_t>();
    }

    test::TestDatabase database;
    Connection sql = database.connect();
};

TEST_F(Definitions, RegistersStepsWithTheirParentsAndLimits) {
    const auto registered = register_template(sql, diamond());
    EXPECT_EQ(registered.outcome, RegistrationOutcome::created);
    EXPECT_EQ(registered.revision, 1);
    const auto rows = sql.query(
        "SELECT name || ' ' || handler_class || ' ' || parent_positions::text || ' ' || retryable || ' ' || "
        "timeout_ms"
        " || ' ' || on_orphan FROM tasker_task_template_steps WHERE task_template_id = $1 ORDER BY position",
        registered.task_template_id);
    ASSERT_EQ(rows.size(), 4U);
    EXPECT_STREQ(rows[0][0].c_str(), "a Shop::a {} true 250 retry");
    EXPECT_STREQ(rows[1][0].c_str(), "b Shop::b {1} false 250 retry");
    EXPECT_STREQ(rows[2][0].c_str(), "c Shop::c {1} true 250 dead_letter");
    EXPECT_STREQ(rows[3][0].c_str(), "d Shop::d {2,3} true 250 retry");
}

TEST_F(Definitions, UnchangedContentIsLeftAlone) {
    const auto first = register_template(sql, diamond());
    const auto again = register_template(sql, diamond());
    EXPECT_EQ(again.outcome, RegistrationOutcome::unchanged);
    EXPECT_EQ(again.task_template_id, first.task_template_id);
    EXPECT_EQ(count("tasker_task_templates"), 1);
}

TEST_F(Definitions, ChangedContentBecomesTheNextRevisionAndTheOldOneStays) {
    const auto first = register_template(sql, diamond());
    auto changed = diamond();
    changed.steps[3].retry_limit = 7;
    const auto second = register_template(sql, changed);
    EXPECT_EQ(second.outcome, RegistrationOutcome::revised);
    EXPECT_EQ(second.revision, 2);
    EXPECT_EQ(second.named_task_id, first.named_task_id);
    const auto limits = sql.execute(
        "SELECT string_agg(retry_limit::text, ' ' ORDER BY task_template_id) FROM tasker_task_template_steps"
        " WHERE name = 'd'");
    EXPECT_STREQ(limits[0][0].c_str(), "3 7");
}

TEST_F(Definitions, AllOfAListOrNone) {
    auto unstorable = diamond("unstorable");
    unstorable.steps[0].handler_config = {{"key", std::string("a\0b", 3)}};
    EXPECT_THROW(register_templates(sql, {diamond("good"), unstorable}), DatabaseError);
    EXPECT_EQ(count("tasker_named_tasks"), 0);
    EXPECT_EQ(register_templates(sql, {diamond("good"), diamond("better")}).size(), 2U);
    EXPECT_EQ(count("tasker_named_tasks"), 2);
}

TEST_F(Definitions, ListsTheNewestRevisionOfEach) {
    register_templates(sql, {diamond("one"), diamond("two")});
    auto changed = diamond("one");
    changed.description = "changed";
    register_template(sql, changed);
    const auto list = json::parse(template_list_json(sql, std::nullopt));
    ASSERT_EQ(list.size(), 2U);
    EXPECT_EQ(list[0]["name"], "one");
    EXPECT_EQ(list[0]["revision"], 2);
    EXPECT_EQ(list[0]["steps"], 4);
    EXPECT_EQ(list[0]["description"], "changed");
    EXPECT_EQ(list[1]["revision"], 1);
    EXPECT_EQ(json::parse(template_list_json(sql, "elsewhere")), json::array());
}

TEST_F(Definitions, ShowsTheHighestVersionUnlessOneIsNamed) {
    register_templates(sql, {diamond("one", "1.9.0"), diamond("one", "1.10.0")});
    const auto highest = template_json(sql, "shop", "one", std::nullopt);
    ASSERT_TRUE(highest);
    EXPECT_EQ(json::parse(*highest)["version"], "1.10.0");
    const auto named = json::parse(template_json(sql, "shop", "one", "1.9.0").value());
    EXPECT_EQ(named["version"], "1.9.0");
    EXPECT_EQ(named["steps"][3]["depends_on"], json({"b", "c"}));
    EXPECT_EQ(named["steps"][0]["depends_on"], json::array());
    EXPECT_FALSE(template_json(sql, "shop", "one", "2.0.0"));
}

}  // namespace
}  // namespace tasker::store
