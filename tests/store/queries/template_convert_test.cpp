// tasker template convert and schema.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/store/queries/command_run.hpp"
#include "tests/support/postgres.hpp"

namespace tasker::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

constexpr const char* kNewer =
    "name: refund\nnamespace_name: shop\nversion: 1.0.0\n"
    "steps: [ { name: a, handler: { callable: A }, dependencies: [] } ]\n";

constexpr const char* kOld =
    "name: order\nnamespace_name: shop\nversion: 1.0.0\nstep_templates: [ { name: a, handler_class: A } ]\n";

class TemplateConversion : public testing::Test {
  protected:
    TemplateConversion() {
        std::string pattern = (fs::temp_directory_path() / "tasker-convert-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
        directory = pattern;
    }
    ~TemplateConversion() override { fs::remove_all(directory); }

    std::string write(const std::string& name, const std::string& text) {
        std::ofstream(directory / name) << text;
        return (directory / name).string();
    }
    std::string read(const std::string& name) {
        std::ostringstream text;
        text << std::ifstream(directory / name).rdbuf();
        return text.str();
    }
    CommandRun run(const std::vector<std::string>& arguments) {
        return run_command(database.url(), arguments);
    }

    test::TestDatabase database;
    fs::path directory;
};

TEST_F(TemplateConversion, WritesAFileThatLoads) {
    const std::string newer = write("newer.yaml", kNewer);
    const auto refused = run({"template", "load", newer});
    EXPECT_EQ(refused.code, 2);
    EXPECT_THAT(refused.err, HasSubstr("newer form"));
    const auto printed = run({"template", "convert", newer});
    EXPECT_EQ(printed.code, 0) << printed.err;
    const std::string output = (directory / "out.yaml").string();
    EXPECT_EQ(run({"template", "convert", newer, "--output", output}).code, 0);
    EXPECT_EQ(read("out.yaml"), printed.out);
    EXPECT_EQ(run({"template", "load", output}).code, 0);
}

TEST_F(TemplateConversion, ReplacesWithForceOnly) {
    const std::string newer = write("newer.yaml", kNewer);
    const std::string kept = write("kept.yaml", "kept\n");
    const auto refused = run({"template", "convert", newer, "--output", kept});
    EXPECT_EQ(refused.code, 2);
    EXPECT_THAT(refused.err, HasSubstr("--force"));
    EXPECT_EQ(read("kept.yaml"), "kept\n");
    EXPECT_EQ(run({"template", "convert", newer, "--output", kept, "--force"}).code, 0);
    EXPECT_THAT(read("kept.yaml"), HasSubstr("step_templates:"));
    EXPECT_EQ(std::distance(fs::directory_iterator(directory), {}), 2) << "no temporary file is left";
    EXPECT_EQ(run({"template", "convert", newer, "--output", "/no/such/folder/x.yaml"}).code, 1);
}

TEST_F(TemplateConversion, ListsWhatItLeavesOut) {
    const std::string newer = write("newer.yaml", std::string(kNewer) + "lifecycle: { max: 1 }\n");
    const auto result = run({"template", "convert", newer});
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, HasSubstr("newer.yaml:5:12: error: lifecycle: "));
    EXPECT_THAT(result.out, HasSubstr("handler_class: A"));
    EXPECT_THAT(result.out, Not(HasSubstr("lifecycle")));
    const auto told = run({"template", "convert", newer, "--json"});
    EXPECT_EQ(told.code, 1);
    EXPECT_EQ(told.json()["left_out"][0]["field"], "lifecycle");
    EXPECT_EQ(run({"template", "convert", write("old.yaml", kOld)}).code, 2);
    EXPECT_EQ(run({"template", "convert", "/no/such/file.yaml"}).code, 4);
}

TEST_F(TemplateConversion, SchemaIsOneDocument) {
    const auto printed = run_command("postgresql:///x?host=/no/such/directory", {"template", "schema"});
    EXPECT_EQ(printed.code, 0);
    EXPECT_EQ(printed.json()["properties"]["step_templates"]["items"]["$ref"], "#/definitions/step");
}

}  // namespace
}  // namespace tasker::cli
