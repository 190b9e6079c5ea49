// tasker template diff and show, and the warnings of check and load.
#include <gmock/gmock.h>
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
using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

constexpr const char* kHead = "name: order\nnamespace_name: shop\n";
constexpr const char* kFirst =
    "version: 1.0.0\n"
    "step_templates:\n"
    "  - { name: take, handler_class: Take, handler_config: { max: 5, api_key: hunter2 } }\n"
    "  - { name: send, handler_class: Send, depends_on_step: take }\n";
constexpr const char* kSecond =
    "version: 1.0.0\npriority: 5\n"
    "step_templates:\n"
    "  - { name: take, handler_class: Take, timeout_seconds: 60, handler_config: { max: 6, api_key: hunter3 } }\n"
    "  - { name: file, handler_class: File }\n";
class TemplateCommands : public testing::Test {
  protected:
    TemplateCommands() {
        std::string pattern = (fs::temp_directory_path() / "tasker-templates-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
        directory = pattern;
    }
    ~TemplateCommands() override { fs::remove_all(directory); }

    std::string write(const std::string& name, const std::string& text) {
        std::ofstream(directory / name) << text;
        return (directory / name).string();
    }
    CommandRun run(const std::vector<std::string>& arguments) {
        return run_command(database.url(), arguments);
    }
    std::string order(const std::string& rest) { return write("order.yaml", kHead + rest); }
    std::string load(const std::string& rest) {
        const std::string file = order(rest);
        EXPECT_EQ(run({"template", "load", file}).code, 0);
        return file;
    }

    test::TestDatabase database;
    fs::path directory;
};

TEST_F(TemplateCommands, DiffOfAFileSaysWhatLoadWouldChange) {
    const std::string file = order(kFirst);
    const auto fresh = run({"template", "diff", file});
    EXPECT_EQ(fresh.code, 1);
    EXPECT_THAT(fresh.out, HasSubstr("shop/order:1.0.0  is new, with 2 steps"));
    EXPECT_EQ(run({"template", "list", "--json"}).json(), json::array()) << "nothing is loaded by a diff";
    load(kFirst);
    EXPECT_EQ(run({"template", "diff", file}).code, 0);
    order(kSecond);
    const auto changed = run({"template", "diff", file});
    EXPECT_EQ(changed.code, 1);
    for (const char* part :
         {"1.0.0 revision 1 → the file", "  priority: 0 → 5", "+ step file", "- step send", "~ step take",
          "    timeout_seconds: 30.0 → 60.0", "    handler_config.max: 5 → 6", "handler_config.api_key"}) {
        EXPECT_THAT(changed.out, HasSubstr(part));
    }
    EXPECT_THAT(changed.out + changed.err, Not(HasSubstr("hunter")));
    EXPECT_EQ(run({"template", "load", file, "--json"}).json()["templates"][0]["outcome"], "revised");
    EXPECT_EQ(run({"template", "diff", file}).code, 0);
}

TEST_F(TemplateCommands, DiffAsJson) {
    const std::string file = load(kFirst);
    EXPECT_EQ(run({"template", "diff", file, "--json"}).json()["equal"], true);
    order(kSecond);
    const auto result = run({"template", "diff", file, "--json"});
    EXPECT_EQ(result.code, 1);
    const json told = result.json();
    EXPECT_EQ(told["equal"], false);
    const json& one = told["templates"][0];
    EXPECT_EQ(one["before"]["revision"], 1);
    EXPECT_EQ(one["after"], nullptr);
    EXPECT_EQ(one["keys"], json::parse(R"([{"key": "priority", "before": 0, "after": 5}])"));
    EXPECT_EQ(one["steps"]["added"], json({"file"}));
    EXPECT_EQ(one["steps"]["removed"], json({"send"}));
    EXPECT_EQ(one["steps"]["changed"][0]["name"], "take");
    EXPECT_THAT(result.out, Not(HasSubstr("hunter")));
}

TEST_F(TemplateCommands, DiffOfANameComparesWhatIsRegistered) {
    load(kFirst);
    EXPECT_EQ(run({"template", "diff", "shop/order"}).code, 1) << "the only revision is new";
    load(kSecond);
    const auto last = run({"template", "diff", "shop/order"});
    EXPECT_EQ(last.code, 1);
    EXPECT_THAT(last.out, HasSubstr("1.0.0 revision 1 → 1.0.0 revision 2"));
    std::string newer = kSecond;
    newer.replace(newer.find("1.0.0"), 5, "1.1.0");
    const std::string file = load(newer);
    const auto versions = run({"template", "diff", "shop/order", "1.0.0"});
    EXPECT_EQ(versions.code, 1);
    EXPECT_THAT(versions.out, HasSubstr("1.0.0 revision 2 → 1.1.0 revision 1"));
    EXPECT_THAT(versions.out, HasSubstr("version: \"1.0.0\" → \"1.1.0\""));
    EXPECT_EQ(run({"template", "diff", "shop/order:1.0.0", "1.0.0"}).code, 0);
    EXPECT_EQ(run({"template", "diff", file, "1.0.0"}).code, 1);
    EXPECT_EQ(run({"template", "diff", file, "9.9.9"}).code, 4);
    EXPECT_EQ(run({"template", "diff", "shop/none"}).code, 4);
    EXPECT_EQ(run({"template", "diff", (directory / "none.yaml").string()}).code, 4);
    EXPECT_EQ(run({"template", "diff", order("version: 1\n")}).code, 2);
}

TEST_F(TemplateCommands, ShowHasEveryKeyRevisionAndDigest) {
    load(kFirst);
    const auto shown = run({"template", "show", "shop/order"});
    EXPECT_EQ(shown.code, 0) << shown.err;
    const json answer = run({"template", "show", "shop/order", "--json"}).json();
    EXPECT_THAT(shown.out, HasSubstr("revision 1 of 1"));
    EXPECT_THAT(shown.out, HasSubstr(answer["digest"].get<std::string>()));
    EXPECT_THAT(shown.out, Not(HasSubstr("hunter2")));
    for (const auto& [key, value] : answer["configuration"].items())
        EXPECT_THAT(shown.out, HasSubstr("\n" + key + ":"));
    for (const auto& [key, value] : answer["configuration"]["step_templates"][0].items())
        EXPECT_THAT(shown.out, HasSubstr(" " + key + ":"));
}

TEST_F(TemplateCommands, CheckAndLoadWarnOfSecretsWithoutTheValue) {
    const std::string file = order(kFirst);
    for (const char* command : {"check", "load"}) {
        const auto result = run({"template", command, file});
        EXPECT_EQ(result.code, 0);
        EXPECT_THAT(result.err, HasSubstr("warning: step_templates[0].handler_config.api_key: "));
        EXPECT_THAT(result.out + result.err, Not(HasSubstr("hunter2")));
    }
}

}  // namespace
}  // namespace tasker::cli
