#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

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

TEST_F(LoadDirectory, OnlyRegularFilesAreReadAndTheOthersNamed) {
    write("a.yaml", named("first"));
    ASSERT_EQ(::mkfifo((directory_ / "pipe.yaml").c_str(), 0600), 0);
    const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (directory_ / "socket.yaml").string().copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    ::close(socket);
    std::filesystem::create_symlink("loop.yaml", directory_ / "loop.yaml");
    std::filesystem::create_symlink("nothing", directory_ / "lost.yaml");
    std::filesystem::create_symlink("/dev/zero", directory_ / "zero.yaml");
    write("z.yaml", named("last"));
    const TemplateDirectory loaded = load_all();
    EXPECT_FALSE(loaded.has_errors()) << all_text(loaded.problems);
    EXPECT_EQ(loaded.templates.size(), 2U);
    std::string found;
    for (const Problem& problem : loaded.problems) {
        found += std::filesystem::path(problem.file).filename().string() + ": " + problem.message + "\n";
    }
    EXPECT_EQ(found,
              "loop.yaml: This link leads nowhere, so it is not read.\n"
              "lost.yaml: This link leads nowhere, so it is not read.\n"
              "pipe.yaml: This is no regular file, so it is not read.\n"
              "socket.yaml: This is no regular file, so it is not read.\n"
              "zero.yaml: This is no regular file, so it is not read.\n");
}

TEST_F(LoadDirectory, WhatStandsBehindALinkIsNotQuoted) {
    const std::filesystem::path inside = directory_ / "templates";
    std::filesystem::create_directory(inside);
    std::filesystem::create_directory(inside / "..data");
    write("secret", "root: [ s3cr3t\n");
    write("shared.yaml", named("shared"));
    std::ofstream(inside / "..data" / "own.yaml") << "name: 's3cr3t";
    std::filesystem::create_symlink(directory_ / "secret", inside / "a.yaml");
    std::filesystem::create_symlink(directory_ / "shared.yaml", inside / "b.yaml");
    std::filesystem::create_symlink("..data/own.yaml", inside / "c.yaml");
    const TemplateDirectory loaded = load_template_dir(inside, "", lookup_in({}));
    ASSERT_EQ(loaded.templates.size(), 1U) << all_text(loaded.problems);
    EXPECT_EQ(loaded.templates[0].name, "shared");
    ASSERT_EQ(loaded.problems.size(), 2U) << all_text(loaded.problems);
    EXPECT_EQ(
        to_string(loaded.problems[0]),
        (inside / "a.yaml").string() +
            ": error: This link leads out of the directory, to a file that is no good template. Check that file by "
            "its own name.");
    EXPECT_GT(loaded.problems[1].line, 0) << "a link that stays inside is read like any file";
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
