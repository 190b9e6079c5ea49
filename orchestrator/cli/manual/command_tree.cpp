#include "orchestrator/cli/manual/command_tree.hpp"

#include <algorithm>

namespace tasker::cli {
namespace {

OptionText read_option(const CLI::Option& option) {
    OptionText text;
    text.positional = option.nonpositional() == false;
    if (text.positional) {
        text.names.push_back(option.get_name(true));
    } else {
        for (const auto& name : option.get_snames()) text.names.push_back("-" + name);
        for (const auto& name : option.get_lnames()) text.names.push_back("--" + name);
    }
    // A flag expects no value, whatever type its variable has.
    if (option.get_items_expected_max() > 0) {
        text.type = option.get_type_name();
        if (text.type.empty()) text.type = "VALUE";
    }
    text.description = option.get_description();
    text.required = option.get_required();
    return text;
}

CommandText read_command(const CLI::App& app, const std::string& above) {
    CommandText command;
    command.name = app.get_name();
    command.path = above.empty() ? command.name : above + " " + command.name;
    command.description = app.get_description();
    command.footer = app.get_footer();
    for (const CLI::Option* option : app.get_options()) {
        if (!option->get_group().empty()) command.options.push_back(read_option(*option));
    }
    std::stable_partition(command.options.begin(), command.options.end(),
                          [](const OptionText& option) { return option.positional; });
    for (const CLI::App* below : app.get_subcommands({})) {
        if (!below->get_group().empty()) command.commands.push_back(read_command(*below, command.path));
    }
    return command;
}

}  // namespace

bool OptionText::names_a_file() const {
    return type.find("FILE") != std::string::npos || type.find("DIR") != std::string::npos;
}

CommandText read_command_tree(const CLI::App& app) {
    return read_command(app, "");
}

std::string summary(const std::string& description) {
    std::string line = description.substr(0, description.find('\n'));
    if (line.ends_with('.')) line.pop_back();
    return line;
}

}  // namespace tasker::cli
