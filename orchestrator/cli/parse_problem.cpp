#include "orchestrator/cli/parse_problem.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "orchestrator/cli/show/table.hpp"
#include "orchestrator/util/similar.hpp"

namespace tasker::cli {
namespace {

std::string joined(const std::vector<std::string>& words, std::string_view separator) {
    std::string text;
    for (const auto& word : words) text += (text.empty() ? "" : std::string(separator)) + word;
    return text;
}

std::string shown(std::string_view word) {
    return fmt::format("\"{}\"", printable(word.substr(0, 80)));
}

std::vector<const CLI::App*> commands_of(const CLI::App& group) {
    std::vector<const CLI::App*> commands;
    for (const CLI::App* command : group.get_subcommands([](const CLI::App*) { return true; })) {
        if (!command->get_name().empty() && !command->get_group().empty()) commands.push_back(command);
    }
    return commands;
}

std::vector<std::string> names_of(const CLI::App& group) {
    std::vector<std::string> names;
    for (const CLI::App* command : commands_of(group)) names.push_back(command->get_name());
    return names;
}

/// The command that the arguments have reached.
const CLI::App& reached(const CLI::App& app) {
    const auto chosen = app.get_subcommands();
    return chosen.empty() ? app : reached(*chosen.back());
}

std::string called(const CLI::App& command) {
    const std::string path = command_path(command);
    return path.empty() ? "tasker" : "tasker " + path;
}

/// Every command below `group` that is called `name`, as it is to be typed.
void find_named(const CLI::App& group, std::string_view name, std::vector<std::string>& found) {
    for (const CLI::App* command : commands_of(group)) {
        if (command->get_name() == name && command->get_parent() != nullptr)
            found.push_back(called(*command));
        find_named(*command, name, found);
    }
}

std::string help_of(const CLI::App& command) {
    return fmt::format("`{} --help` explains it", called(command));
}

const CLI::App& root_of(const CLI::App& command) {
    return command.get_parent() == nullptr ? command : root_of(*command.get_parent());
}

/// A word stands where a command of `group` is expected.
ParseProblem unknown_command(const CLI::App& group, const std::vector<std::string>& rest) {
    const std::string& word = rest.front();
    const auto names = names_of(group);
    ParseProblem problem;
    problem.message = group.get_parent() == nullptr
                          ? fmt::format("there is no command {}", shown(word))
                          : fmt::format("`{}` has no command {}", called(group), shown(word));
    // "show task", as other programs have it.
    if (rest.size() > 1) {
        std::vector<std::string> reversed;
        find_named(root_of(group), word, reversed);
        const auto wanted = fmt::format("tasker {} {}", rest[1], word);
        if (std::find(reversed.begin(), reversed.end(), wanted) != reversed.end()) {
            problem.advice = fmt::format("did you mean `{}`?", wanted);
            return problem;
        }
    }
    if (const auto near = util::most_similar(word, names)) {
        const std::string prefix = called(group);
        problem.advice = fmt::format("did you mean `{} {}`?", prefix, *near);
        return problem;
    }
    std::vector<std::string> elsewhere;
    find_named(root_of(group), word, elsewhere);
    if (!elsewhere.empty() && elsewhere.size() <= 4) {
        problem.advice = fmt::format("did you mean `{}`?", joined(elsewhere, "` or `"));
        return problem;
    }
    problem.advice = fmt::format("there are: {}", joined(names, ", "));
    return problem;
}

ParseProblem unknown_option(const CLI::App& command, const std::string& word) {
    const std::string name = word.substr(0, word.find('='));
    std::vector<std::string> names;
    for (const CLI::App* level = &command; level != nullptr; level = level->get_parent()) {
        for (const CLI::Option* option : level->get_options()) {
            for (const auto& long_name : option->get_lnames()) names.push_back("--" + long_name);
        }
    }
    ParseProblem problem{fmt::format("`{}` has no option {}", called(command), shown(name)), ""};
    if (const auto near = util::most_similar(name, names)) {
        problem.advice = fmt::format("did you mean {}? {}", *near, help_of(command));
    } else {
        problem.advice = help_of(command);
    }
    return problem;
}

/// Words that nothing takes.
std::optional<ParseProblem> left_over(const CLI::App& app, const CLI::App& command) {
    const std::vector<std::string> rest = app.remaining(true);
    if (rest.empty()) return std::nullopt;
    for (const auto& word : rest) {
        if (word.size() > 1 && word.front() == '-') return unknown_option(command, word);
    }
    if (!commands_of(command).empty()) return unknown_command(command, rest);
    return ParseProblem{fmt::format("`{}` does not take {}", called(command), shown(rest.front())),
                        help_of(command)};
}

/// The first argument or option that is required and was not given.
const CLI::Option* missing(const CLI::App& command) {
    for (const CLI::Option* option : command.get_options()) {
        if (option->get_required() && option->count() == 0) return option;
    }
    return nullptr;
}

ParseProblem something_missing(const CLI::App& command) {
    if (const CLI::Option* option = missing(command)) {
        const std::string name = option->get_positional()
                                     ? option->get_type_name()
                                     : option->get_name() + " " + option->get_type_name();
        return {fmt::format("`{}` needs {}: {}", called(command), name, option->get_description()),
                help_of(command)};
    }
    const std::string needs = command.get_parent() == nullptr
                                  ? "tasker needs a command"
                                  : fmt::format("`{}` needs a command", called(command));
    return {needs, fmt::format("there are: {}", joined(names_of(command), ", "))};
}

int code_of(CLI::ExitCodes code) {
    return static_cast<int>(code);
}

}  // namespace

std::string command_path(const CLI::App& command) {
    if (command.get_parent() == nullptr) return "";
    const std::string above = command_path(*command.get_parent());
    return above.empty() ? command.get_name() : above + " " + command.get_name();
}

ParseProblem explain_parse_error(const CLI::App& app, const CLI::ParseError& error) {
    const CLI::App& command = reached(app);
    // (Its name is of no use: some errors carry the program's there.)
    const int kind = error.get_exit_code();
    // The words that nothing takes may explain why something is missing, so they come first.
    if (kind == code_of(CLI::ExitCodes::RequiredError) || kind == code_of(CLI::ExitCodes::ExtrasError)) {
        if (auto problem = left_over(app, command)) return *problem;
        if (kind == code_of(CLI::ExitCodes::RequiredError)) return something_missing(command);
    }
    if (kind == code_of(CLI::ExitCodes::ArgumentMismatch)) {
        const std::string what = error.what();
        return {
            fmt::format("`{}`: {} needs a value", called(command), printable(what.substr(0, what.find(':')))),
            help_of(command)};
    }
    return {fmt::format("`{}`: {}", called(command), printable(error.what())), help_of(command)};
}

}  // namespace tasker::cli
