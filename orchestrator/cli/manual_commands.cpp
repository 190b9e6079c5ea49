// tasker completion|man
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/manual/completion.hpp"
#include "orchestrator/cli/manual/man_page.hpp"
#include "orchestrator/util/version.hpp"

namespace tasker::cli {
namespace {

namespace fs = std::filesystem;

/// Pages are made of the program itself and of each of its groups; a single command is part of tasker(1).
std::vector<CommandText> paged_commands(const CommandText& root) {
    std::vector<CommandText> commands{root};
    for (const auto& group : root.commands) {
        if (!group.commands.empty()) commands.push_back(group);
    }
    return commands;
}

std::string page_of(const CommandText& command, const std::vector<CommandText>& all) {
    ManPageFacts facts;
    facts.version = std::string(util::version());
    for (const auto& other : all) {
        if (other.path != command.path) facts.see_also.push_back(man_page_name(other) + "(1)");
    }
    facts.see_also.emplace_back("tasker-orchestrator(8)");
    return man_page(command, facts);
}

ExitCode write_pages(const Context& context, const std::vector<CommandText>& all, const fs::path& folder) {
    fs::create_directories(folder);
    for (const auto& command : all) {
        const fs::path file = folder / (man_page_name(command) + ".1");
        std::ofstream stream(file);
        stream << page_of(command, all);
        if (!stream.flush()) throw CommandError(ExitCode::failed, "cannot write " + file.string());
    }
    context.remark(fmt::format("{} pages in {}", all.size(), folder.string()));
    return ExitCode::ok;
}

ExitCode print_page(const Context& context, const std::vector<CommandText>& all, const std::string& name) {
    for (const auto& command : all) {
        if (command.name != name && man_page_name(command) != name) continue;
        std::string page = page_of(command, all);
        page.pop_back();
        context.print(page);
        return ExitCode::ok;
    }
    throw CommandError(ExitCode::not_found, fmt::format("there is no page for {}", name),
                       "`tasker man` is the page of all commands; a command without commands of its own has "
                       "no page: see its --help");
}

}  // namespace

void add_manual_commands(CLI::App& app, Context& context) {
    auto shell = std::make_shared<std::string>();
    CLI::App* completion = app.add_subcommand("completion", "print a completion script for a shell");
    completion->add_option("shell", *shell, "bash, zsh or fish")
        ->required()
        ->type_name("SHELL")
        ->check(CLI::IsMember({"bash", "zsh", "fish"}).description(""));
    completion->footer(
        "Examples:\n"
        "  eval \"$(tasker completion bash)\"\n"
        "  tasker completion zsh > ~/.zsh/functions/_tasker\n"
        "  tasker completion fish > ~/.config/fish/completions/tasker.fish");
    context.on_run(completion, [&app, &context, shell] {
        const Shell chosen = *shell == "bash" ? Shell::bash : *shell == "zsh" ? Shell::zsh : Shell::fish;
        std::string script = completion_script(read_command_tree(app), chosen);
        script.pop_back();
        context.print(script);
        return ExitCode::ok;
    });

    auto name = std::make_shared<std::string>("tasker");
    auto folder = std::make_shared<std::string>();
    CLI::App* man = app.add_subcommand("man", "print a manual page");
    man->add_option("command", *name, "a group of commands: task, template, …; without it: all commands")
        ->type_name("COMMAND");
    man->add_option("--out", *folder, "write every page into this directory instead")->type_name("DIR");
    man->footer("Examples:\n  tasker man task | man -l -\n  tasker man --out /usr/local/share/man/man1");
    context.on_run(man, [&app, &context, name, folder] {
        const auto all = paged_commands(read_command_tree(app));
        return folder->empty() ? print_page(context, all, *name) : write_pages(context, all, *folder);
    });
}

}  // namespace tasker::cli
