#include "orchestrator/cli/manual/man_page.hpp"

#include <algorithm>
#include <sstream>

namespace tasker::cli {
namespace {

std::string upper(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::toupper(letter)); });
    return text;
}

// Paragraphs of help texts fill the reader's lines; lines that begin with a space are aligned by hand and stay as they
// are. A heading ("Examples:") stands alone.
std::string verbatim(const std::string& text) {
    if (text.empty()) return {};
    std::string page = ".PP\n";
    bool aligned = false;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const bool is_aligned = line.starts_with(' ');
        if (is_aligned != aligned) page += is_aligned ? ".nf\n" : ".fi\n";
        aligned = is_aligned;
        if (line.empty()) {
            page += ".PP\n";
        } else {
            page += roff_text(line) + "\n";
            if (!is_aligned && line.ends_with(':')) page += ".br\n";
        }
    }
    return page + (aligned ? ".fi\n" : "");
}

std::string option_entry(const OptionText& option) {
    std::string names;
    for (const auto& name : option.names) {
        names += (names.empty() ? "\\fB" : ", \\fB") + roff_text(name) + "\\fR";
    }
    if (option.takes_value()) names += " \\fI" + roff_text(option.type) + "\\fR";
    if (option.required) names += " (required)";
    return ".TP\n" + names + "\n" + roff_text(option.description) + "\n";
}

std::string option_entries(const CommandText& command) {
    std::string page;
    for (const auto& option : command.options) page += option_entry(option);
    return page;
}

std::string synopsis(const CommandText& command) {
    std::string line = "\\fB" + roff_text(command.path) + "\\fR";
    const bool has_options = std::any_of(command.options.begin(), command.options.end(),
                                         [](const OptionText& option) { return !option.positional; });
    if (has_options) line += " [\\fIOPTIONS\\fR]";
    for (const auto& option : command.options) {
        if (option.positional)
            line += (option.required ? " \\fI" : " [\\fI") + roff_text(option.names.front()) +
                    (option.required ? "\\fR" : "\\fR]");
    }
    if (!command.commands.empty()) line += " \\fICOMMAND\\fR";
    return line + "\n";
}

}  // namespace

std::string roff_text(std::string_view text) {
    std::string safe;
    for (const char letter : text) {
        if (letter == '\\') {
            safe += "\\e";
        } else if (letter == '-') {
            safe += "\\-";
        } else if (letter == '\n') {
            safe += ' ';
        } else {
            safe += letter;
        }
    }
    // A line that begins with one of these would be a request.
    if (safe.starts_with('.') || safe.starts_with('\'')) safe.insert(0, "\\&");
    return safe;
}

std::string man_page_name(const CommandText& command) {
    std::string name = command.path;
    std::replace(name.begin(), name.end(), ' ', '-');
    return name;
}

std::string man_page(const CommandText& command, const ManPageFacts& facts) {
    const std::string name = man_page_name(command);
    std::string page = ".TH \"" + upper(name) + "\" \"" + facts.section + "\" \"\" \"Tasker " +
                       facts.version + "\" \"Tasker\"\n";
    page += ".SH NAME\n" + roff_text(name) + " \\- " + roff_text(summary(command.description)) + "\n";
    page += ".SH SYNOPSIS\n" + synopsis(command);
    for (const auto& below : command.commands) {
        if (below.commands.empty()) page += ".br\n" + synopsis(below);
    }
    page += ".SH DESCRIPTION\n" + roff_text(command.description) + "\n" + verbatim(command.footer);
    if (!command.options.empty()) page += ".SH OPTIONS\n" + option_entries(command);
    if (!command.commands.empty()) page += ".SH COMMANDS\n";
    for (const auto& below : command.commands) {
        page += ".SS \"" + roff_text(below.path) + "\"\n" + roff_text(below.description) + "\n";
        // A group has a page of its own with all this.
        if (!below.commands.empty()) {
            page += "See \\fB" + roff_text(man_page_name(below)) + "\\fR(" + facts.section + ").\n";
            continue;
        }
        page += option_entries(below) + verbatim(below.footer);
    }
    if (!facts.see_also.empty()) {
        page += ".SH SEE ALSO\n";
        std::string list;
        for (const auto& other : facts.see_also) list += (list.empty() ? "" : ", ") + roff_text(other);
        page += list + "\n";
    }
    return page;
}

}  // namespace tasker::cli
