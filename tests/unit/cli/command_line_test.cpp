// The command line before any database is asked: numbers, errors, help.
#include "orchestrator/cli/command_line.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/help_text.hpp"
#include "orchestrator/cli/numbers.hpp"
#include "orchestrator/cli/parse_problem.hpp"
#include "orchestrator/cli/show/table.hpp"

namespace tasker::cli {
namespace {

struct Answer {
    int code = 0;
    std::string out;
    std::string err;
};

Answer run(const std::vector<std::string>& arguments) {
    Answer result;
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    result.code = run_command_line(arguments);
    result.out = testing::internal::GetCapturedStdout();
    result.err = testing::internal::GetCapturedStderr();
    return result;
}

void for_each_command(const CLI::App& app, const std::function<void(const CLI::App&)>& visit) {
    visit(app);
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        for_each_command(*command, visit);
    }
}

TEST(Numbers, AreWholeAndDecimal) {
    for (const char* good : {"0", "7", "10", "-3", "9223372036854775807", "-9223372036854775808"}) {
        EXPECT_EQ(whole_number_problem(good), "") << good;
    }
    for (const char* bad : {"", "-", "010", "00", "-01", "0x9", "0b1", "1e3", "1.0", "+1", " 1", "1 ",
                            "1_000", "1,0", "nan", "9223372036854775808", "99999999999999999999", "٣"}) {
        EXPECT_NE(whole_number_problem(bad), "") << bad;
    }
}

TEST(Numbers, OfSecondsAreDecimalFractions) {
    for (const char* good : {"0", "30", "0.5", "86400.25"}) EXPECT_EQ(seconds_problem(good), "") << good;
    for (const char* bad : {"", "nan", "inf", "-1", "1e3", "0x10", ".5", "5.", "05", "1 s", "1,5", "1.2.3",
                            "100000000000000000000"}) {
        EXPECT_NE(seconds_problem(bad), "") << bad;
    }
}

TEST(Numbers, AreCheckedInEveryOptionOfEveryCommand) {
    Context context;
    CLI::App app;
    build_command_line(app, context);
    int checked = 0;
    for_each_command(app, [&](const CLI::App& command) {
        for (const CLI::Option* option : command.get_options()) {
            const ValueKind kind = value_kind(*option);
            EXPECT_NE(kind, ValueKind::unknown) << command_path(command) << " " << option->get_name() << ": "
                                                << option->get_type_name() << " is in no list of numbers.cpp";
            if (kind != ValueKind::whole && kind != ValueKind::seconds) continue;
            ++checked;
            // The check is the option's own: a value that CLI11 alone would take for nine.
            std::vector<std::string> arguments;
            for (std::string path = command_path(command); !path.empty();) {
                const auto end = std::min(path.find(' '), path.size());
                arguments.push_back(path.substr(0, end));
                path.erase(0, end + 1);
            }
            if (!option->get_positional()) arguments.push_back(option->get_name());
            arguments.emplace_back("0x9");
            const Answer refused = run(arguments);
            EXPECT_EQ(refused.code, 2) << command_path(command) << " " << option->get_name();
            EXPECT_NE(refused.err.find("\"0x9\" is no"), std::string::npos)
                << command_path(command) << refused.err;
        }
    });
    EXPECT_GT(checked, 15);
}

TEST(ParseProblem, NamesTheWordAndWhatWasMeant) {
    const std::vector<std::tuple<std::vector<std::string>, std::string, std::string>> cases = {
        {{"tsk", "list"}, "there is no command \"tsk\"", "did you mean `tasker task`?"},
        {{"task", "sho", "3"}, "`tasker task` has no command \"sho\"", "did you mean `tasker task show`?"},
        {{"show", "task", "3"}, "has no command \"show\"", "did you mean `tasker task show`?"},
        {{"submit", "x/y"}, "there is no command \"submit\"", "did you mean `tasker task submit`?"},
        {{"frobnicate"}, "there is no command \"frobnicate\"", "there are: init, dev, "},
        {{"task"}, "`tasker task` needs a command", "there are: submit, list, "},
        {{"task", "show"}, "`tasker task show` needs ID", "`tasker task show --help` explains it"},
        {{"task", "list", "--limt", "3"},
         "`tasker task list` has no option \"--limt\"",
         "did you mean --limit?"},
        {{"task", "list", "extra"}, "`tasker task list` does not take \"extra\"", "--help"},
        {{"task", "list", "--limit"}, "--limit needs a value", "--help"},
        {{"task", "show", "010"}, "\"010\" has a leading zero", "--help"},
        {{"task", "sh\x1b[2Jow"}, "\"sh\\u001b[2Jow\"", "there are: "},
        {{"task", "show\u202e"}, "\"show\\u202e\"", "there are: "},
        {{"task", "show", "\u20667\u2069"}, "\"\\u20667\\u2069\" is no whole number", "--help"},
    };
    for (const auto& [arguments, message, advice] : cases) {
        const Answer refused = run(arguments);
        EXPECT_EQ(refused.code, 2);
        EXPECT_EQ(refused.out, "");
        EXPECT_NE(refused.err.find(message), std::string::npos) << message << "\n" << refused.err;
        EXPECT_NE(refused.err.find(advice), std::string::npos) << advice << "\n" << refused.err;
        EXPECT_EQ(refused.err.find('\x1b'), std::string::npos) << "a control character reaches the terminal";
    }
}

TEST(GlobalOptions, NameWhatExists) {
    const std::vector<std::tuple<std::vector<std::string>, std::string>> cases = {
        {{"--config", "/no/such.yaml", "task", "list"}, "--config: there is no file \"/no/such.yaml\""},
        {{"task", "list", "--config", "/tmp"}, "--config: \"/tmp\" is no file"},
        {{"task", "list", "--config", ""}, "--config: a file is named here, not an empty text"},
        {{"task", "list", "--database", ""}, "--database: a URL is named here, not an empty text"},
        {{"health", "--config", "/no/\u202e.yaml"}, "there is no file \"/no/\\u202e.yaml\""},
    };
    for (const auto& [arguments, message] : cases) {
        const Answer refused = run(arguments);
        EXPECT_EQ(refused.code, 2) << message;
        EXPECT_EQ(refused.out, "");
        EXPECT_NE(refused.err.find(message), std::string::npos) << message << "\n" << refused.err;
    }
}

TEST(ParseProblem, IsJsonWhereJsonWasAsked) {
    for (const auto& arguments :
         std::vector<std::vector<std::string>>{{"task", "shw", "--json"},
                                               {"--json", "task", "show", "0x9"},
                                               {"task", "list", "--nope", "--json"}}) {
        const Answer refused = run(arguments);
        EXPECT_EQ(refused.code, 2);
        const auto error = nlohmann::json::parse(refused.err)["error"];
        EXPECT_EQ(error["code"], "usage");
        EXPECT_NE(error["message"], "");
        EXPECT_NE(error["advice"], "");
    }
}

TEST(Help, FitsEightyColumns) {
    Context context;
    CLI::App app;
    app.name("tasker");
    build_command_line(app, context);
    for_each_command(app, [](const CLI::App& command) {
        const std::string help = command.help();
        std::size_t at = 0;
        while (at < help.size()) {
            const auto end = std::min(help.find('\n', at), help.size());
            EXPECT_LE(display_width(help.substr(at, end - at)), kHelpColumns)
                << command_path(command) << ": " << help.substr(at, end - at);
            at = end + 1;
        }
    });
}

TEST(Help, HasOneFooterOfTheProgramOnly) {
    EXPECT_NE(run({"--help"}).out.find("First steps:"), std::string::npos);
    EXPECT_EQ(run({"batch", "list", "--help"}).out.find("First steps:"), std::string::npos);
}

TEST(Help, IsWrappedAtSpaces) {
    EXPECT_EQ(wrapped("one two three", 7), "one two\nthree");
    EXPECT_EQ(wrapped("one two three", 7, 2), "one two\n  three");
    EXPECT_EQ(wrapped("a-word-that-is-long", 5), "a-word-that-is-long");
    EXPECT_EQ(refilled("one\ntwo\n\nExamples:\n  three   four", 80),
              "one two\n\nExamples:\n  three   four\n");
}

/// Runs with standard output on /dev/full, where every write fails.
Answer run_on_a_full_disk(const std::vector<std::string>& arguments) {
    std::fflush(stdout);
    const int kept = ::dup(STDOUT_FILENO);
    const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    EXPECT_GE(full, 0);
    ::dup2(full, STDOUT_FILENO);
    Answer result;
    testing::internal::CaptureStderr();
    result.code = run_command_line(arguments);
    result.err = testing::internal::GetCapturedStderr();
    std::clearerr(stdout);
    std::cout.clear();
    ::dup2(kept, STDOUT_FILENO);
    ::close(kept);
    ::close(full);
    return result;
}

TEST(Output, ThatCannotBeWrittenIsAFailure) {
    for (const auto& arguments :
         std::vector<std::vector<std::string>>{{"--help"}, {"--version"}, {"completion", "bash"}, {"man"}}) {
        const Answer failed = run_on_a_full_disk(arguments);
        EXPECT_EQ(failed.code, 1) << arguments[0];
        EXPECT_NE(failed.err.find("standard output"), std::string::npos) << arguments[0] << failed.err;
    }
}

}  // namespace
}  // namespace tasker::cli
