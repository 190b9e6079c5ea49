// tasker template load and task submit, from files to rows.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/store/queries/command_run.hpp"
#include "tests/support/postgres.hpp"

namespace tasker::cli {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kTemplate = R"(name: order
namespace_name: shop
version: 1.0.0
schema:
  type: object
  required: [amount]
  properties: { amount: { type: number } }
step_templates:
  - { name: take, handler_class: Take }
  - { name: send, handler_class: Send, depends_on_step: take }
)";

class Submit : public testing::Test {
  protected:
    Submit() {
        std::string pattern = (fs::temp_directory_path() / "tasker-submit-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
        directory = pattern;
        write("order.yaml", kTemplate);
    }
    ~Submit() override { fs::remove_all(directory); }

    std::string write(const std::string& name, const std::string& text) {
        std::ofstream(directory / name) << text;
        return (directory / name).string();
    }
    CommandRun run(const std::vector<std::string>& arguments) {
        return run_command(database.url(), arguments);
    }
    CommandRun submit(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {"task", "submit", "shop/order"});
        return run(arguments);
    }
    void load() { ASSERT_EQ(run({"template", "load", directory.string()}).code, 0); }
    std::int64_t tasks() {
        return database.connect().execute("SELECT count(*) FROM tasker_tasks").at(0)[0].as<std::int64_t>();
    }

    test::TestDatabase database;
    fs::path directory;
};

TEST_F(Submit, TemplatesAreCheckedWithoutADatabase) {
    const auto good =
        run_command("postgresql:///x?host=/no/such/directory", {"template", "check", directory.string()});
    EXPECT_EQ(good.code, 0) << good.err;
    EXPECT_NE(good.out.find("shop/order:1.0.0"), std::string::npos);
    write("typo.yaml",
          "name: typo\nnamespace_name: shop\nversion: 1.0.0\nstep_templates:\n"
          "  - { name: a, handler_class: A, depends_on_step: b }\n");
    const auto bad = run({"template", "check", directory.string()});
    EXPECT_EQ(bad.code, 1);
    EXPECT_NE(bad.err.find("typo.yaml:5:"), std::string::npos) << bad.err;
    const auto told = run({"template", "check", directory.string(), "--json"}).json();
    EXPECT_EQ(told["ok"], false);
    EXPECT_EQ(told["problems"][0]["line"], 5);
}

TEST_F(Submit, OneBadFileAndNothingIsLoaded) {
    write("typo.yaml", "name: typo\nversion: 1.0.0\n");
    const auto refused = run({"template", "load", directory.string()});
    EXPECT_EQ(refused.code, 2);
    EXPECT_NE(refused.err.find("nothing was loaded"), std::string::npos) << refused.err;
    EXPECT_EQ(run({"template", "list", "--json"}).json(), json::array());
}

TEST_F(Submit, LoadingTellsWhatBecameOfEachTemplate) {
    EXPECT_EQ(run({"template", "load", directory.string(), "--json"}).json()["templates"][0]["outcome"],
              "created");
    EXPECT_EQ(run({"template", "load", directory.string(), "--json"}).json()["templates"][0]["outcome"],
              "unchanged");
    write("order.yaml", std::string(kTemplate) + "  - { name: file, handler_class: File }\n");
    const auto revised = run({"template", "load", directory.string(), "--json"}).json();
    EXPECT_EQ(revised["templates"][0]["outcome"], "revised");
    EXPECT_EQ(revised["templates"][0]["revision"], 2);
    EXPECT_EQ(run({"template", "show", "shop/order", "--json"}).json()["steps"].size(), 3U);
}

TEST_F(Submit, ATaskIsCreatedAndMapped) {
    load();
    const auto created =
        submit({"--context", R"({"amount": 1})", "--json", "--tag", "a", "--tag", "b", "--priority", "7",
                "--initiator", "ada", "--reason", "why", "--not-before", "+1h"});
    ASSERT_EQ(created.code, 0) << created.err;
    const auto told = created.json();
    EXPECT_EQ(told["step_count"], 2);
    EXPECT_EQ(told["namespace"], "shop");
    EXPECT_EQ(told["name"], "order");
    EXPECT_EQ(told["version"], "1.0.0");
    EXPECT_EQ(told["existing"], false);
    ASSERT_TRUE(told["step_mapping"]["send"].is_number_integer());
    const auto task = run({"task", "show", std::to_string(told["task_id"].get<int>()), "--json"}).json();
    EXPECT_EQ(task["tags"], json({"a", "b"}));
    EXPECT_EQ(task["priority"], 7);
    EXPECT_EQ(task["initiator"], "ada");
    EXPECT_EQ(task["reason"], "why");
    EXPECT_FALSE(task["not_before"].is_null());
    EXPECT_EQ(task["steps"][1]["workflow_step_id"], told["step_mapping"]["send"]);
}

TEST_F(Submit, TheContextComesFromAFile) {
    load();
    EXPECT_EQ(submit({"--context", "@" + write("one.json", R"({"amount": 2})")}).code, 0);
    EXPECT_EQ(submit({"--context", "@" + (directory / "none.json").string()}).code, 4);
    EXPECT_EQ(submit({"--context", "@" + write("list.json", R"([{"amount": 2}])")}).code, 2);
    EXPECT_EQ(tasks(), 1);
}

TEST_F(Submit, ARepeatedKeyGivesTheSameTask) {
    load();
    const auto first = submit({"--context", R"({"amount": 1})", "--idempotency-key", "k", "--json"}).json();
    const auto again = submit({"--context", R"({"amount": 1})", "--idempotency-key", "k", "--json"}).json();
    EXPECT_EQ(again["task_id"], first["task_id"]);
    EXPECT_EQ(again["existing"], true);
    const auto other = submit({"--context", R"({"amount": 2})", "--idempotency-key", "k"});
    EXPECT_EQ(other.code, 2);
    EXPECT_NE(other.err.find("already used with another context"), std::string::npos) << other.err;
    EXPECT_EQ(tasks(), 1);
}

TEST_F(Submit, ManyAreAllCreatedOrNone) {
    load();
    const auto many = [&](const std::string& text) {
        return submit({"--json", "--many", "@" + write("many.json", text)});
    };
    const auto mixed = many(R"([{"amount": 1}, {"amount": "x"}, {"context": {}, "priority": 3}])");
    EXPECT_EQ(mixed.code, 2);
    EXPECT_NE(mixed.err.find("entry 2: context $.amount"), std::string::npos) << mixed.err;
    EXPECT_NE(mixed.err.find("entry 3: context $"), std::string::npos) << mixed.err;
    EXPECT_EQ(tasks(), 0);
    const auto good =
        many(R"([{"amount": 1}, {"context": {"amount": 2}, "priority": 3, "idempotency_key": "k",
                               "tags": ["t"]}, {"context": {"amount": 2}, "idempotency_key": "k"}])");
    ASSERT_EQ(good.code, 0) << good.err;
    const auto told = good.json();
    ASSERT_EQ(told.size(), 3U);
    EXPECT_EQ(told[2]["task_id"], told[1]["task_id"]);
    EXPECT_EQ(told[2]["existing"], true);
    EXPECT_EQ(tasks(), 2);
    for (const char* bad : {"{}", "[]", "[1]", "nonsense", R"([{"context": {"amount": 1}, "prio": 1}])",
                            R"([{"context": {"amount": 1}, "priority": "high"}])",
                            R"([{"context": {"amount": 1}, "tags": "t"}])", R"([{"context": 5}])"}) {
        EXPECT_EQ(many(bad).code, 2) << bad;
    }
    EXPECT_EQ(submit({"--many", "[{\"amount\": 1}]", "--idempotency-key", "k"}).code, 2);
    EXPECT_EQ(submit({"--many", "[{\"amount\": 1}]", "--context", "{}"}).code, 2);
    EXPECT_EQ(tasks(), 2);
}

TEST_F(Submit, EveryDigitArrives) {
    load();
    const std::string exact = R"({"amount": 12345678901234567890123, "rate": 1.10})";
    ASSERT_EQ(submit({"--context", exact}).code, 0);
    ASSERT_EQ(submit({"--context", "@" + write("one.json", exact)}).code, 0);
    ASSERT_EQ(submit({"--many", "[" + exact + R"(, {"context": )" + exact + R"(, "priority": 3}])"}).code, 0);
    auto sql = database.connect();
    for (const auto& row : sql.execute("SELECT context FROM tasker_tasks")) {
        EXPECT_STREQ(row[0].c_str(), R"({"rate": 1.10, "amount": 12345678901234567890123})");
    }
    EXPECT_EQ(tasks(), 4);
    // Beyond double: shown, too.
    ASSERT_EQ(submit({"--context", R"({"amount": 1e999})"}).code, 0);
    const auto shown =
        run({"task", "show", sql.execute("SELECT max(task_id) FROM tasker_tasks").at(0)[0].c_str()});
    EXPECT_EQ(shown.code, 0) << shown.err;
}

TEST_F(Submit, AKeyGivenTwiceIsRefusedWithItsPlace) {
    load();
    const auto one = submit({"--context", R"({"amount": 1, "to": {"iban": 1, "iban": 2}})"});
    EXPECT_EQ(one.code, 2);
    EXPECT_NE(one.err.find("context $.to: the key 'iban' is given twice"), std::string::npos) << one.err;
    const auto many = submit({"--many", R"([{"amount": 1}, {"amount": 1, "amount": 2}])"});
    EXPECT_EQ(many.code, 2);
    EXPECT_NE(many.err.find("--many: $[1]: the key 'amount' is given twice"), std::string::npos) << many.err;
    EXPECT_EQ(tasks(), 0);
}

TEST_F(Submit, BadArgumentsAreNamed) {
    load();
    EXPECT_EQ(run({"task", "submit", "order"}).code, 2);
    EXPECT_EQ(submit({"--context", R"({"amount": 1})", "--not-before", "tomorrow"}).code, 2);
    EXPECT_EQ(submit({"--context", R"({"amount": 1})", "--not-before", "+5weeks"}).code, 2);
    EXPECT_EQ(submit({"--context", R"({"amount": 1})", "--not-before",
                      "+nan"
                      "s"})
                  .code,
              2);
    EXPECT_EQ(submit({"--context", R"({"amount": 1})", "--priority", "100000"}).code, 2);
    EXPECT_EQ(submit({"--context", R"({"amount": 1})", "--timeout", "5"}).code, 2);
    EXPECT_EQ(submit({"--context", R"({"amount": 1})", "--parent-task", "4711"}).code, 2);
    EXPECT_EQ(submit({"--context", "{\"amount\": 1, \"x\": \"\\u0000\"}"}).code, 2);
    EXPECT_EQ(tasks(), 0);
}

TEST_F(Submit, WaitingEndsWhenTheTimeIsOver) {
    load();
    const auto waited = submit({"--context", R"({"amount": 1})", "--wait", "--timeout", "0.05", "--json"});
    EXPECT_EQ(waited.code, 1);
    EXPECT_EQ(waited.json()["state"], "pending");
    EXPECT_EQ(tasks(), 1);
}

}  // namespace
}  // namespace tasker::cli
