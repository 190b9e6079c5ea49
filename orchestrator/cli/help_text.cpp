#include "orchestrator/cli/help_text.hpp"

#include <utility>

#include "orchestrator/cli/show/table.hpp"

namespace tasker::cli {
namespace {

constexpr std::size_t kNameColumns = 32;

std::string entry(const std::string& name, const std::string& description) {
    std::string text = "  " + name;
    if (!description.empty()) {
        if (display_width(text) >= kNameColumns) {
            text += '\n';
            text.append(kNameColumns, ' ');
        } else {
            text.append(kNameColumns - display_width(text), ' ');
        }
        std::string lines;
        std::size_t at = 0;
        while (at <= description.size()) {
            const auto end = std::min(description.find('\n', at), description.size());
            if (!lines.empty()) lines += '\n' + std::string(kNameColumns, ' ');
            // The first line is indented already, by the name.
            lines += wrapped(std::string(kNameColumns, ' ') + description.substr(at, end - at), kHelpColumns,
                             kNameColumns)
                         .substr(kNameColumns);
            at = end + 1;
        }
        text += lines;
    }
    return text + '\n';
}

}  // namespace

std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent) {
    std::string out;
    std::size_t line_start = 0;  // in `out`
    std::size_t last_space = std::string::npos;
    for (std::size_t at = 0; at < text.size(); ++at) {
        out += text[at];
        if (text[at] == ' ' && out.size() - line_start > indent + 1) last_space = out.size() - 1;
        const std::string_view line = std::string_view(out).substr(line_start);
        if (display_width(line) > columns && last_space != std::string::npos && last_space > line_start) {
            out.replace(last_space, 1, "\n" + std::string(indent, ' '));
            line_start = last_space + 1;
            last_space = std::string::npos;
        }
    }
    return out;
}

std::string refilled(std::string_view text, std::size_t columns) {
    std::string out;
    std::string paragraph;
    const auto end_paragraph = [&] {
        if (!paragraph.empty()) out += wrapped(std::exchange(paragraph, {}), columns) + '\n';
    };
    std::size_t at = 0;
    while (at < text.size()) {
        const auto end = std::min(text.find('\n', at), text.size());
        const std::string_view line = text.substr(at, end - at);
        if (line.empty() || line.front() == ' ') {
            end_paragraph();
            out.append(line).append("\n");
        } else {
            if (!paragraph.empty()) paragraph += ' ';
            paragraph.append(line);
            // A heading of a list stays alone.
            if (line.back() == ':') end_paragraph();
        }
        at = end + 1;
    }
    end_paragraph();
    return out;
}

HelpText::HelpText() {
    column_width(kNameColumns);
}

std::string HelpText::make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const {
    std::string text = Formatter::make_help(app, std::move(name), mode);
    if (app->get_parent() != nullptr && mode != CLI::AppFormatMode::Sub) {
        text +=
            "\nEvery command also takes --database URL, --config FILE, --json and --no-color:\n"
            "see `tasker --help`.\n";
    }
    return text;
}

std::string HelpText::make_description(const CLI::App* app) const {
    return app->get_description().empty() ? "" : wrapped(app->get_description(), kHelpColumns) + "\n\n";
}

std::string HelpText::make_footer(const CLI::App* app) const {
    return refilled(app->get_footer(), kHelpColumns);
}

std::string HelpText::make_option(const CLI::Option* option, bool is_positional) const {
    return entry(make_option_name(option, is_positional) + make_option_opts(option),
                 make_option_desc(option));
}

std::string HelpText::make_subcommand(const CLI::App* command) const {
    return entry(command->get_display_name(true), command->get_description());
}

}  // namespace tasker::cli
