#include "orchestrator/cli/manual/completion.hpp"

#include <algorithm>
#include <functional>

namespace tasker::cli {
namespace {

void walk(const CommandText& command, const std::function<void(const CommandText&)>& visit) {
    visit(command);
    for (const auto& below : command.commands) walk(below, visit);
}

// The options of every command above count below it, too.
void walk_with_inherited(
    const CommandText& command, std::vector<OptionText> inherited,
    const std::function<void(const CommandText&, const std::vector<OptionText>&)>& visit) {
    for (const auto& option : command.options) {
        const bool known = std::any_of(inherited.begin(), inherited.end(), [&](const OptionText& other) {
            return !option.positional && other.names == option.names;
        });
        if (!known) inherited.push_back(option);
    }
    visit(command, inherited);
    std::erase_if(inherited, [](const OptionText& option) {
        // --version belongs to the program alone.
        return option.positional || option.names.back() == "--version";
    });
    for (const auto& below : command.commands) walk_with_inherited(below, inherited, visit);
}

std::string identifier(std::string name) {
    std::replace_if(
        name.begin(), name.end(), [](unsigned char letter) { return std::isalnum(letter) == 0; }, '_');
    return "_" + name;
}

std::string single_quoted(const std::string& text) {
    std::string quoted = "'";
    for (const char letter : text) quoted += letter == '\'' ? "'\\''" : std::string(1, letter);
    return quoted + "'";
}

// Names of options that take a value, joined for a case label; empty when there are none.
std::string names_with(const std::vector<OptionText>& options, bool files) {
    std::string names;
    for (const auto& option : options) {
        if (option.positional || !option.takes_value() || option.names_a_file() != files) continue;
        for (const auto& name : option.names) names += (names.empty() ? "" : "|") + name;
    }
    return names;
}

// One case of the table: what may stand after the words of `command`.
std::string bash_case(const CommandText& command, const std::vector<OptionText>& options) {
    std::string words;
    std::string files = "no";
    for (const auto& below : command.commands) words += below.name + " ";
    for (const auto& option : options) {
        if (option.positional) {
            if (option.names_a_file()) files = "yes";
            continue;
        }
        for (const auto& name : option.names) words += name + " ";
    }
    std::string text = "    " + single_quoted(command.path) + ")\n";
    text += "      words=" + single_quoted(words) + " files=" + files + "\n";
    text += "      file_options=" + single_quoted(names_with(options, true)) +
            " value_options=" + single_quoted(names_with(options, false)) + "\n      ;;\n";
    return text;
}

constexpr const char* kBashBody = R"(
@FUNCTION@() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local words files file_options value_options path=@PROGRAM@ skip=no index
  COMPREPLY=()
  @FUNCTION@_at "$path"
  for ((index = 1; index < COMP_CWORD; index++)); do
    if [[ $skip == yes ]]; then
      skip=no
    elif [[ "|$file_options|$value_options|" == *"|${COMP_WORDS[index]}|"* ]]; then
      skip=yes
    elif @FUNCTION@_at "$path ${COMP_WORDS[index]}"; then
      path+=" ${COMP_WORDS[index]}"
    fi
    @FUNCTION@_at "$path"
  done
  if [[ "|$value_options|" == *"|$previous|"* ]]; then
    return
  elif [[ "|$file_options|" == *"|$previous|"* ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
    compopt -o filenames
    return
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [[ $files == yes && $current != -* ]]; then
    mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current")
    compopt -o filenames
  fi
}
complete -F @FUNCTION@ @PROGRAM@
)";

std::string filled(std::string text, const std::string& program) {
    const auto replace = [&text](const std::string& mark, const std::string& value) {
        for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at + value.size()))
            text.replace(at, mark.size(), value);
    };
    replace("@FUNCTION@", identifier(program));
    replace("@PROGRAM@", program);
    return text;
}

std::string bash_script(const CommandText& root) {
    std::string cases;
    walk_with_inherited(root, {},
                        [&cases](const CommandText& command, const std::vector<OptionText>& options) {
                            cases += bash_case(command, options);
                        });
    std::string text =
        "# bash completion for " + root.name + ", made by `" + root.name + " completion bash`.\n";
    text += "# Sets what may stand after the words of a command; false for words that are none.\n";
    text += identifier(root.name) + "_at() {\n  case $1 in\n" + cases;
    text += "    *) return 1 ;;\n  esac\n}\n";
    return text + filled(kBashBody, root.name);
}

// zsh's _describe takes "word:description"; colons of the word itself are escaped.
std::string zsh_item(const std::string& word, const std::string& description) {
    std::string escaped;
    for (const char letter : word) escaped += letter == ':' ? "\\:" : std::string(1, letter);
    return single_quoted(escaped + ":" + summary(description));
}

std::string zsh_case(const CommandText& command, const std::vector<OptionText>& options) {
    std::string commands;
    std::string flags;
    std::string files = "no";
    for (const auto& below : command.commands) commands += " " + zsh_item(below.name, below.description);
    for (const auto& option : options) {
        if (option.positional) {
            if (option.names_a_file()) files = "yes";
            continue;
        }
        for (const auto& name : option.names) flags += " " + zsh_item(name, option.description);
    }
    std::string text = "    " + single_quoted(command.path) + ")\n";
    text += "      commands=(" + commands + " )\n      options=(" + flags + " )\n";
    text += "      files=" + files + " file_options=" + single_quoted(names_with(options, true)) +
            " value_options=" + single_quoted(names_with(options, false)) + "\n      ;;\n";
    return text;
}

constexpr const char* kZshBody = R"(
@FUNCTION@() {
  local path_=@PROGRAM@ skip=no files file_options value_options previous=${words[CURRENT-1]} index
  local -a commands options
  @FUNCTION@_at "$path_"
  for ((index = 2; index < CURRENT; index++)); do
    if [[ $skip == yes ]]; then
      skip=no
    elif [[ "|$file_options|$value_options|" == *"|${words[index]}|"* ]]; then
      skip=yes
    elif @FUNCTION@_at "$path_ ${words[index]}"; then
      path_+=" ${words[index]}"
    fi
    @FUNCTION@_at "$path_"
  done
  if [[ "|$value_options|" == *"|$previous|"* ]]; then
    return 1
  elif [[ "|$file_options|" == *"|$previous|"* ]]; then
    _files
    return
  fi
  (( ${#commands} )) && _describe -t commands command commands
  _describe -t options option options
  [[ $files == yes ]] && _files
  return 0
}
compdef @FUNCTION@ @PROGRAM@
# As an autoloaded file this is the body of the function itself, the first time.
if [[ ${funcstack[1]} == @FUNCTION@ ]]; then @FUNCTION@ "$@"; fi
)";

std::string zsh_script(const CommandText& root) {
    std::string cases;
    walk_with_inherited(root, {},
                        [&cases](const CommandText& command, const std::vector<OptionText>& options) {
                            cases += zsh_case(command, options);
                        });
    std::string text = "#compdef " + root.name + "\n# zsh completion for " + root.name + ", made by `" +
                       root.name + " completion zsh`.\n";
    text += "# Sets what may stand after the words of a command; false for words that are none.\n";
    text += identifier(root.name) + "_at() {\n  case $1 in\n" + cases;
    text += "    *) return 1 ;;\n  esac\n}\n";
    return text + filled(kZshBody, root.name);
}

std::string fish_quoted(const std::string& text) {
    std::string quoted = "'";
    for (const char letter : text) {
        if (letter == '\'' || letter == '\\') quoted += '\\';
        quoted += letter;
    }
    return quoted + "'";
}

// Where `command` has been typed; for a group, only while none of its own commands follows.
std::string fish_condition(const CommandText& command) {
    std::string condition;
    std::string rest = command.path;
    for (auto space = rest.find(' '); space != std::string::npos; space = rest.find(' ')) {
        rest.erase(0, space + 1);
        condition += (condition.empty() ? "" : "; and ") +
                     ("__fish_seen_subcommand_from " + rest.substr(0, rest.find(' ')));
    }
    if (command.commands.empty()) return condition;
    std::string none = "not __fish_seen_subcommand_from";
    for (const auto& below : command.commands) none += " " + below.name;
    return condition.empty() ? none : condition + "; and " + none;
}

std::string fish_script(const CommandText& root) {
    std::string text = "# fish completion for " + root.name + ", made by `" + root.name +
                       " completion fish`.\ncomplete -c " + root.name + " -f\n";
    walk(root, [&](const CommandText& command) {
        const std::string start = "complete -c " + root.name;
        const std::string condition = fish_condition(command);
        const std::string here = condition.empty() ? start : start + " -n " + fish_quoted(condition);
        for (const auto& below : command.commands)
            text += here + " -a " + below.name + " -d " + fish_quoted(summary(below.description)) + "\n";
        for (const auto& option : command.options) {
            // Options of the program itself may stand anywhere.
            std::string line = &command == &root && !option.positional ? start : here;
            if (option.positional && !option.names_a_file()) continue;
            for (const auto& name : option.names) {
                if (name.starts_with("--"))
                    line += " -l " + name.substr(2);
                else if (name.starts_with('-'))
                    line += " -s " + name.substr(1);
            }
            if (option.takes_value() && !option.positional) line += " -r";
            if (option.names_a_file()) line += " -F";
            text += line + " -d " + fish_quoted(summary(option.description)) + "\n";
        }
    });
    return text;
}

}  // namespace

std::string completion_script(const CommandText& root, Shell shell) {
    switch (shell) {
        case Shell::bash:
            return bash_script(root);
        case Shell::zsh:
            return zsh_script(root);
        case Shell::fish:
            return fish_script(root);
    }
    return {};
}

}  // namespace tasker::cli
