// Man pages and completions hold every command and option of the CLI11 definitions they are made from.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/manual/completion.hpp"
#include "orchestrator/cli/manual/man_page.hpp"
#include "orchestrator/cli/show/table.hpp"
#include "orchestrator/daemon/command_line.hpp"

namespace tasker::cli {
namespace {

using ::testing::HasSubstr;

/// Walks the CLI11 tree itself, so that a fault in reading it cannot hide here.
void each_command(const CLI::App& app, const std::string& path,
                  const std::function<void(const CLI::App&, const std::string&)>& visit) {
    visit(app, path);
    for (const CLI::App* below : app.get_subcommands(std::function<bool(const CLI::App*)>{}))
        each_command(*below, path + " " + below->get_name(), visit);
}

std::vector<std::string> dashed_names(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options()) {
        for (const auto& name : option->get_lnames()) names.push_back("--" + name);
    }
    return names;
}

class Manual : public ::testing::Test {
  protected:
    Manual() {
        app_.name("tasker");
        build_command_line(app_, context_);
        tree_ = read_command_tree(app_);
    }

    /// The page that a command belongs to: its group's, or that of the program.
    std::string page_for(const std::string& path) const {
        const CommandText* command = &tree_;
        for (const auto& group : tree_.commands) {
            const bool inside = path == group.path || path.starts_with(group.path + " ");
            if (inside && !group.commands.empty()) command = &group;
        }
        return man_page(*command, {"1", "9.9.9", {"other(1)"}});
    }

    Context context_;
    CLI::App app_;
    CommandText tree_;
};

TEST_F(Manual, EveryCommandAndOptionStandsOnItsPage) {
    int commands = 0;
    each_command(app_, "tasker", [&](const CLI::App& app, const std::string& path) {
        SCOPED_TRACE(path);
        ++commands;
        const std::string page = page_for(path);
        EXPECT_THAT(page, HasSubstr(roff_text(path)));
        for (const auto& name : dashed_names(app)) EXPECT_THAT(page, HasSubstr("\\fB" + roff_text(name)));
        for (const CLI::Option* option : app.get_options()) {
            EXPECT_THAT(page, HasSubstr(roff_text(option->get_description()))) << option->get_name();
        }
    });
    EXPECT_GT(commands, 30);
}

TEST_F(Manual, PagesNameProgramSectionAndVersion) {
    const std::string page = page_for("tasker task submit");
    EXPECT_TRUE(page.starts_with(".TH \"TASKER-TASK\" \"1\" \"\" \"Tasker 9.9.9\" \"Tasker\"\n.SH NAME\n"))
        << page;
    EXPECT_THAT(page, HasSubstr(".SH SEE ALSO\nother(1)\n"));
    EXPECT_THAT(page, HasSubstr(".SS \"tasker task submit\"\n"));
    EXPECT_THAT(page, HasSubstr("\\fB\\-\\-wait\\fR\nshow the steps")) << "a flag takes no value";
    EXPECT_THAT(page, HasSubstr("\\fB\\-\\-timeout\\fR \\fISECONDS\\fR\n"));
}

TEST_F(Manual, NoTextBecomesARequestToRoff) {
    EXPECT_EQ(roff_text(".tasker/"), "\\&.tasker/");
    EXPECT_EQ(roff_text("'quoted'"), "\\&'quoted'");
    EXPECT_EQ(roff_text("a\\b --c"), "a\\eb \\-\\-c");
    // Requests are those that are written here, and no other line begins with a dot.
    each_command(app_, "tasker", [&](const CLI::App&, const std::string& path) {
        std::istringstream lines(page_for(path));
        for (std::string line; std::getline(lines, line);) {
            if (!line.starts_with('.') && !line.starts_with('\'')) continue;
            EXPECT_THAT(line.substr(0, line.find(' ')),
                        ::testing::AnyOf(".TH", ".SH", ".SS", ".TP", ".PP", ".nf", ".fi", ".br"))
                << line;
        }
    });
}

TEST_F(Manual, FitsATerminalOf80Columns) {
    constexpr std::size_t columns = 73;  // seven are the margin of a page
    const auto expect_narrow = [&](const std::string& page, const std::string& path) {
        bool filled = true;
        std::istringstream lines(page);
        for (std::string line; std::getline(lines, line);) {
            if (line == ".nf" || line == ".fi") filled = line == ".fi";
            std::string shown = line;
            for (auto at = shown.find("\\-"); at != std::string::npos; at = shown.find("\\-", at + 1))
                shown.erase(at, 1);
            if (filled) continue;
            EXPECT_LE(display_width(shown), columns) << path << ": " << line;
        }
    };
    each_command(app_, "tasker",
                 [&](const CLI::App&, const std::string& path) { expect_narrow(page_for(path), path); });
    CLI::App app;
    Arguments arguments;
    tasker::build_command_line(app, arguments);
    expect_narrow(orchestrator_man_page(app), "tasker-orchestrator");
    std::istringstream help(app.help());
    for (std::string line; std::getline(help, line);) EXPECT_LE(display_width(line), 80U) << line;
}

TEST_F(Manual, TheOrchestratorsPageHoldsItsOptionsAndSettings) {
    CLI::App app;
    Arguments arguments;
    tasker::build_command_line(app, arguments);
    const std::string page = orchestrator_man_page(app);
    for (const auto& name : dashed_names(app)) {
        if (name == "--man") continue;
        EXPECT_THAT(page, HasSubstr("\\fB" + roff_text(name)));
    }
    EXPECT_THAT(page, HasSubstr(".TH \"TASKER-ORCHESTRATOR\" \"8\""));
    EXPECT_THAT(page, HasSubstr("database.lanes"));
    EXPECT_THAT(page, HasSubstr("TASKER_STEPS_ENDPOINT"));
}

TEST_F(Manual, EveryShellIsOfferedEveryCommandAndOption) {
    for (const Shell shell : {Shell::bash, Shell::zsh, Shell::fish}) {
        SCOPED_TRACE(static_cast<int>(shell));
        const std::string script = completion_script(tree_, shell);
        each_command(app_, "tasker", [&](const CLI::App& app, const std::string& path) {
            SCOPED_TRACE(path);
            EXPECT_THAT(script, HasSubstr(shell == Shell::fish ? app.get_name() : "'" + path + "')"));
            for (const auto& name : dashed_names(app)) {
                EXPECT_THAT(script, HasSubstr(shell == Shell::fish ? " -l " + name.substr(2) : name));
            }
        });
    }
}

TEST_F(Manual, AMistypedOptionOfTheOrchestratorIsGuessed) {
    CLI::App app;
    Arguments arguments;
    tasker::build_command_line(app, arguments);
    std::vector<std::string> mistyped = {"--chek-config"};
    EXPECT_THROW(app.parse(mistyped), CLI::ParseError);
    EXPECT_EQ(likely_option(app), "did you mean --check-config?");
}

TEST_F(Manual, HiddenOptionsStayHidden) {
    CLI::App app;
    Arguments arguments;
    tasker::build_command_line(app, arguments);
    EXPECT_THAT(orchestrator_man_page(app), ::testing::Not(HasSubstr("\\fB\\-\\-man")));
    EXPECT_THAT(app.help(), ::testing::Not(HasSubstr("--man ")));
}

}  // namespace
}  // namespace tasker::cli
