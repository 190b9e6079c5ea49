#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "tests/unit/templates/support.hpp"

namespace tasker::templates {
namespace {

class LoadDirectory : public ::testing::Test {
  protected:
    LoadDirectory() {
        std::string pattern = (std::filesystem::temp_directory_path() / "tasker-templates-XXXXXX").string();
        directory_ = ::mkdtemp(pattern.data());
    }
    ~LoadDirectory() override { std::filesystem::remove_all(directory_); }

    void write(const std::string& name, const std::string& text) { std::ofstream(directory_ / name) << text; }

    static std::string named(const std::string& name, const std::string& version = "1.0.0") {
        return "name: " + name + "\nnamespace_name: tests\nversion: " + version +
               "\nstep_templates: [{ name: a, handler_class: H }]\n";
    }

    TemplateDirectory load_all() { return load_template_dir(directory_, "", lookup_in({})); }

    std::filesystem::path directory_;
};

TEST_F(LoadDirectory, LoadsYamlFilesByName) {
    write("b.yml", named("second"));
    write("a.yaml", named("first"));
    write("c.yaml", named("first", "2.0.0"));
    write("notes.txt", "not yaml: [");
    write(".hidden.yaml", "broken: [");
    std::filesystem::create_directory(directory_ / "sub.yaml");
    const TemplateDirectory loaded = load_all();
    EXPECT_FALSE(loaded.has_errors()) << all_text(loaded.problems);
    ASSERT_EQ(loaded.templates.size(), 3U);
    EXPECT_EQ(loaded.templates[0].full_name(), "tests/first:1.0.0");
    EXPECT_EQ(loaded.templates[0].source_file, (directory_ / "a.yaml").string());
    EXPECT_EQ(loaded.templates[1].full_name(), "tests/second:1.0.0");
    EXPECT_EQ(loaded.templates[2].full_name(), "tests/first:2.0.0");
}

TEST_F(LoadDirectory, TheSameTemplateTwiceIsAProblem) {
    write("a.yaml", named("same"));
    write("b.yaml", "# moved\n" + named("same"));
    const TemplateDirectory loaded = load_all();
    EXPECT_TRUE(loaded.has_errors());
    EXPECT_EQ(loaded.templates.size(), 1U);
    ASSERT_EQ(loaded.problems.size(), 1U);
    EXPECT_EQ(loaded.problems[0].file, (directory_ / "b.yaml").string());
    EXPECT_EQ(loaded.problems[0].line, 2);
    EXPECT_EQ(loaded.problems[0].field, "name");
    EXPECT_THAT(loaded.problems[0].message, ::testing::HasSubstr("tests/same:1.0.0 is already defined in"));
    EXPECT_THAT(loaded.problems[0].message, ::testing::HasSubstr("a.yaml"));
}

TEST_F(LoadDirectory, ABrokenFileDoesNotHideTheOthers) {
    write("a.yaml", "name: [");
    write("b.yaml", named("fine"));
    write("c.yaml", named("warned") + "named_steps: [a]\n");
    const TemplateDirectory loaded = load_all();
    EXPECT_TRUE(loaded.has_errors());
    EXPECT_EQ(loaded.templates.size(), 2U);
    ASSERT_EQ(loaded.problems.size(), 2U);
    EXPECT_EQ(loaded.problems[0].file, (directory_ / "a.yaml").string());
    EXPECT_EQ(loaded.problems[1].severity, Severity::warning);
    EXPECT_EQ(loaded.problems[1].file, (directory_ / "c.yaml").string());
}

TEST_F(LoadDirectory, EmptyAndMissingDirectoriesAreTold) {
    const TemplateDirectory empty = load_all();
    EXPECT_FALSE(empty.has_errors());
    EXPECT_THAT(empty.problems.at(0).message, ::testing::HasSubstr("no *.yaml or *.yml file"));
    const TemplateDirectory missing = load_template_dir(directory_ / "none", "", lookup_in({}));
    EXPECT_TRUE(missing.has_errors());
    EXPECT_EQ(missing.problems.at(0).message, "The directory cannot be read: No such file or directory.");
}

TEST_F(LoadDirectory, AMissingFileIsNamed) {
    const auto loaded = load_template_file(directory_ / "none.yaml", "", lookup_in({}));
    ASSERT_FALSE(loaded.has_value());
    EXPECT_EQ(
        to_string(loaded.error().at(0)),
        (directory_ / "none.yaml").string() + ": error: The file cannot be read: No such file or directory.");
}

}  // namespace
}  // namespace tasker::templates
