#include "orchestrator/api/definitions.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "orchestrator/templates/load.hpp"
#include "orchestrator/templates/template.hpp"
#include "tests/support/postgres.hpp"

namespace tasker::api {
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
    postgres::Connection sql = database.connect();
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
    EXPECT_THROW(register_templates(sql, {diamond("good"), unstorable}), postgres::DatabaseError);
    EXPECT_EQ(count("tasker_named_tasks"), 0);
    EXPECT_EQ(register_templates(sql, {diamond("good"), diamond("better")}).size(), 2U);
    EXPECT_EQ(count("tasker_named_tasks"), 2);
}

// One fault in a template that is fine otherwise, and the sentence that names it.
struct Fault {
    const char* message;
    void (*spoil)(json& call);
};

const Fault kFaults[] = {
    {"namespace: has a character that is no letter, no digit and none of _.-",
     [](json& c) { c["namespace"] = "shop\n"; }},
    {"name: is missing", [](json& c) { c["name"] = nullptr; }},
    {"name: has a character that is no letter, no digit and none of _.-",
     [](json& c) { c["name"] = "or\x1b[31mder"; }},
    {"name: has 129 characters, allowed are 1 to 128", [](json& c) { c["name"] = std::string(129, 'x'); }},
    {"version: has a character that is no letter, no digit and none of ._+-",
     [](json& c) { c["version"] = "1/2"; }},
    {"digest: must be 64 hexadecimal digits", [](json& c) { c["digest"] = "a"; }},
    {"configuration: has no list step_templates", [](json& c) { c["configuration"] = json::object(); }},
    {"steps: 0 steps, allowed are 1 to 10000", [](json& c) { c["steps"] = json::array(); }},
    {"steps[1].name: has a character that is no letter, no digit and none of _.-",
     [](json& c) { c["steps"][1]["name"] = "b\tc"; }},
    {"steps[0].handler_class: must be text, not missing",
     [](json& c) { c["steps"][0].erase("handler_class"); }},
    {"steps[0].dependent_system: must be text, not null",
     [](json& c) { c["steps"][0]["dependent_system"] = nullptr; }},
    {"steps[1].position: must be 2: steps are listed in the order of their positions",
     [](json& c) { c["steps"][1]["position"] = 1; }},
    {"steps[1].timeout_ms: must be a whole number from 1 to 86400000",
     [](json& c) { c["steps"][1]["timeout_ms"] = 9'223'372'036'854'775'807; }},
    {"steps[1].timeout_ms: must be a whole number from 1 to 86400000",
     [](json& c) { c["steps"][1]["timeout_ms"] = -5; }},
    {"steps[0].retry_limit: must be a whole number from 1 to 1000",
     [](json& c) { c["steps"][0]["retry_limit"] = 0; }},
    {"steps[0].retry_limit: must be a whole number from 1 to 1000",
     [](json& c) { c["steps"][0]["retry_limit"] = 2.5; }},
    {"steps[0].on_orphan: must be retry or dead_letter",
     [](json& c) { c["steps"][0]["on_orphan"] = "forget"; }},
    {"steps[0].retryable: must be true or false", [](json& c) { c["steps"][0]["retryable"] = "yes"; }},
    {"steps[0].claim_first: must be true or false", [](json& c) { c["steps"][0].erase("claim_first"); }},
    {"steps[0].parents: the first step has no step before it",
     [](json& c) { c["steps"][0]["parents"] = {2}; }},
    {"steps[1].parents: each must be a whole number from 1 to 1, a step before this one",
     [](json& c) { c["steps"][1]["parents"] = {2}; }},
    {"steps[1].parents: lists a step twice",
     [](json& c) {
         c["steps"][1]["parents"] = {1, 1};
     }},
    {"steps: the name a is used twice", [](json& c) { c["steps"][1]["name"] = "a"; }},
    {"configuration.step_templates: the step c is not in both lists of steps",
     [](json& c) {
         c["configuration"]["step_templates"].push_back({{"name", "c"}});
     }},
    {"configuration.step_templates[1].retry_backoff.base_seconds: must be a number from 0 to 86400",
     [](json& c) {
         c["configuration"]["step_templates"][1]["retry_backoff"] = {{"base_seconds", "soon"}};
     }},
    {"configuration.step_templates[0].retry_backoff.multiplier: must be a number from 1 to 100",
     [](json& c) {
         c["configuration"]["step_templates"][0]["retry_backoff"] = {{"multiplier", 0}};
     }},
    {"configuration.step_templates[0].handler_config: must be a JSON object, not array",
     [](json& c) { c["configuration"]["step_templates"][0]["handler_config"] = {1}; }},
};

// tasker_register_template() with the arguments in `call`; "registered", or the first line of the refusal.
// What nlohmann's JSON cannot hold: it stands for this text, and is written as a number in its place.
constexpr std::string_view kExact = "100000000000000000001";

std::string with_exact_number(std::string text) {
    const std::string quoted = '"' + std::string(kExact) + '"';
    const auto at = text.find(quoted);
    return at == std::string::npos ? text : text.replace(at, quoted.size(), kExact);
}

std::string registered_by_sql(postgres::Connection& sql, const json& call) {
    const auto text = [&](const char* key) {
        return call[key].is_null() ? std::nullopt : std::optional(call[key].get<std::string>());
    };
    try {
        sql.query("SELECT outcome FROM tasker_register_template($1, $2, $3, $4, $5::jsonb, $6, $7::jsonb)",
                  text("namespace"), text("name"), text("version"), text("description"),
                  with_exact_number(call["configuration"].dump()), text("digest"), call["steps"].dump());
    } catch (const postgres::DatabaseError& error) {
        EXPECT_EQ(error.sqlstate(), "22023") << error.what();
        const std::string sentence = error.what();
        const auto begin = sentence.find("ERROR:  ");
        const auto from = begin == std::string::npos ? 0 : begin + 8;
        return sentence.substr(from, sentence.find('\n', from) - from);
    }
    return "registered";
}

TEST_F(Definitions, TheDatabaseItselfRefusesWhatTheFileCheckRefuses) {
    const json step = {{"position", 1},           {"name", "a"},          {"handler_class", "A::B"},
                       {"retryable", true},       {"retry_limit", 3},     {"dependent_system", "default"},
                       {"timeout_ms", 30'000},    {"on_orphan", "retry"}, {"claim_first", false},
                       {"parents", json::array()}};
    json second = step;
    second.update({{"position", 2}, {"name", "b"}, {"parents", {1}}});
    const json good = {{"namespace", "shop"},
                       {"name", "sql"},
                       {"version", "1.0.0"},
                       {"description", nullptr},
                       {"digest", std::string(64, 'a')},
                       {"configuration", {{"step_templates", {{{"name", "a"}}, {{"name", "b"}}}}}},
                       {"steps", {step, second}}};
    for (const auto& fault : kFaults) {
        json call = good;
        fault.spoil(call);
        EXPECT_EQ(registered_by_sql(sql, call), fault.message);
    }
    EXPECT_EQ(count("tasker_task_namespaces"), 0) << "nothing is left of a refused template";
    EXPECT_EQ(registered_by_sql(sql, good), "registered");
}

// The same fault through both doors: a file, and the arguments of the function.
struct TwoDoors {
    std::string yaml;  // of the template, or of its step (two spaces deeper)
    void (*spoil)(json& configuration, json& step);
};

std::string nested(int levels) {
    std::string text = "1";
    for (int i = 0; i < levels; ++i) text = "{k: " + text + "}";
    return text;
}
json nested_json(int levels) {
    json value = 1;
    for (int i = 0; i < levels; ++i) value = {{"k", value}};
    return value;
}
std::string many(const char* key, int count) {
    std::string text = std::string(key) + ": {";
    for (int i = 0; i < count; ++i) text += (i == 0 ? "" : ", ") + ("k" + std::to_string(i)) + ": x";
    return text + "}\n";
}

const TwoDoors kDoors[] = {
    {"identity: perhaps\n", [](json& c, json&) { c["identity"] = "perhaps"; }},
    {"priority: 1001\n", [](json& c, json&) { c["priority"] = 1001; }},
    {"priority: 1.5\n", [](json& c, json&) { c["priority"] = 1.5; }},
    {"description: [1]\n", [](json& c, json&) { c["description"] = {1}; }},
    {"description: " + std::string(2001, 'x') + "\n",
     [](json& c, json&) { c["description"] = std::string(2001, 'x'); }},
    {"default_dependent_system: a b\n", [](json& c, json&) { c["default_dependent_system"] = "a b"; }},
    {"task_handler_class: " + std::string(256, 'x') + "\n",
     [](json& c, json&) { c["task_handler_class"] = std::string(256, 'x'); }},
    {"schema: [1]\n", [](json& c, json&) { c["schema"] = {1}; }},
    {"schema: {default: " + nested(47) + "}\n",
     [](json& c, json&) {
         c["schema"] = {{"default", nested_json(47)}};
     }},
    {"schema: {default: 100000000000000000001}\n",
     [](json& c, json&) {
         c["schema"] = {{"default", kExact}};
     }},
    {"  handler_class: a b\n", [](json&, json& s) { s["handler_class"] = "a b"; }},
    {"  dependent_system: a b\n", [](json&, json& s) { s["dependent_system"] = "a b"; }},
    {"  default_retryable: often\n", [](json&, json& s) { s["default_retryable"] = "often"; }},
    {"  default_retry_limit: 0\n", [](json&, json& s) { s["default_retry_limit"] = 0; }},
    {"  default_retry_limit: 1001\n", [](json&, json& s) { s["default_retry_limit"] = 1001; }},
    {"  default_retry_limit: 2.5\n", [](json&, json& s) { s["default_retry_limit"] = 2.5; }},
    {"  timeout_seconds: 0\n", [](json&, json& s) { s["timeout_seconds"] = 0; }},
    {"  timeout_seconds: 86401\n", [](json&, json& s) { s["timeout_seconds"] = 86401; }},
    {"  max_retry_after_seconds: -1\n", [](json&, json& s) { s["max_retry_after_seconds"] = -1; }},
    {"  on_orphan: forget\n", [](json&, json& s) { s["on_orphan"] = "forget"; }},
    {"  claim_first: 1\n", [](json&, json& s) { s["claim_first"] = 1; }},
    {"  depends_on_steps: {a: 1}\n",
     [](json&, json& s) {
         s["depends_on_steps"] = {{"a", 1}};
     }},
    {"  retry_backoff: {jitter: 2}\n",
     [](json&, json& s) {
         s["retry_backoff"] = {{"jitter", 2}};
     }},
    {"  handler_config: [1]\n", [](json&, json& s) { s["handler_config"] = {1}; }},
    {"  handler_config: " + nested(46) + "\n", [](json&, json& s) { s["handler_config"] = nested_json(46); }},
    {"  " + many("handler_config", 30'000),
     [](json&, json& s) {
         for (int i = 0; i < 30'000; ++i) s["handler_config"]["k" + std::to_string(i)] = "x";
     }},
    {"  handler_config: {n: 100000000000000000001}\n",
     [](json&, json& s) {
         s["handler_config"] = {{"n", kExact}};
     }},
};

TEST_F(Definitions, FileAndFunctionRefuseTheSame) {
    const json step = {{"position", 1},           {"name", "a"},          {"handler_class", "A::B"},
                       {"retryable", true},       {"retry_limit", 3},     {"dependent_system", "default"},
                       {"timeout_ms", 30'000},    {"on_orphan", "retry"}, {"claim_first", false},
                       {"parents", json::array()}};
    const auto by_file = [](const std::string& yaml) {
        const bool of_step = yaml.starts_with("  ");
        const std::string text = "name: sql\nnamespace_name: shop\nversion: 1.0.0\n" + (of_step ? "" : yaml) +
                                 "step_templates:\n- name: a\n" +
                                 (yaml.starts_with("  handler_class") ? "" : "  handler_class: A::B\n") +
                                 (of_step ? yaml : "");
        return templates::load_template_text(text, "t.yaml", "").has_value();
    };
    const auto by_function = [&](json configuration) {
        return registered_by_sql(sql, {{"namespace", "shop"},
                                       {"name", "sql"},
                                       {"version", "1.0.0"},
                                       {"description", nullptr},
                                       {"digest", std::string(64, 'a')},
                                       {"configuration", std::move(configuration)},
                                       {"steps", {step}}});
    };
    for (const auto& door : kDoors) {
        SCOPED_TRACE(door.yaml.substr(0, 80));
        EXPECT_FALSE(by_file(door.yaml));
        json configured = {{"name", "a"}};
        json configuration = json::object();
        door.spoil(configuration, configured);
        configuration["step_templates"] = {configured};
        EXPECT_NE(by_function(configuration), "registered");
    }
    EXPECT_EQ(count("tasker_task_namespaces"), 0);
    // And both take what is just within the limits.
    const std::string deep = "  handler_config: " + nested(45) + "\n";
    EXPECT_TRUE(by_file(deep));
    EXPECT_EQ(by_function({{"priority", 1000},
                           {"schema", {{"default", nested_json(46)}}},
                           {"step_templates", {{{"name", "a"}, {"handler_config", nested_json(45)}}}}}),
              "registered");
    EXPECT_TRUE(by_file("schema: {default: " + nested(46) + "}\n"));
}

TEST_F(Definitions, TablesRefuseStepsThatNoTemplateMayHave) {
    const auto id = std::to_string(register_template(sql, diamond()).task_template_id);
    for (const char* change : {"timeout_ms = 9223372036854775807", "timeout_ms = -1", "retry_limit = 1001",
                               "parent_positions = '{4}'", "parent_positions = '{0}'", "position = 0"}) {
        try {
            sql.execute("UPDATE tasker_task_template_steps SET " + std::string(change) +
                        " WHERE name = 'b' AND task_template_id = " + id);
            ADD_FAILURE() << change;
        } catch (const postgres::DatabaseError& error) {
            EXPECT_EQ(error.sqlstate(), "23514") << change;
        }
    }
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
}  // namespace tasker::api
