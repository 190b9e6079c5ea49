// Help that fits a terminal of 80 columns.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

namespace tasker::cli {

inline constexpr std::size_t kHelpColumns = 80;

/// Breaks `text` at spaces so that no line is longer than `columns`; a longer word stays whole. Lines after the
/// first begin with `indent` spaces, which count.
std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent = 0);

/// Fills the paragraphs of a hand-broken text anew. Indented lines (lists, examples) stay as they are.
std::string refilled(std::string_view text, std::size_t columns);

/// CLI11's help with wrapped descriptions; the help of a command names the options that every command has.
class HelpText : public CLI::Formatter {
  public:
    HelpText();
    std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
    std::string make_description(const CLI::App* app) const override;
    std::string make_footer(const CLI::App* app) const override;
    std::string make_option(const CLI::Option* option, bool is_positional) const override;
    std::string make_subcommand(const CLI::App* command) const override;
};

}  // namespace tasker::cli
