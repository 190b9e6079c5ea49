#include <fmt/format.h>

#include <sstream>

#include "orchestrator/options/settings.hpp"

namespace tasker::options {

namespace {

std::string type_text(const Setting& setting) {
    struct Name {
        std::string operator()(std::string* (*)(Options&)) const { return "text"; }
        std::string operator()(bool* (*)(Options&)) const { return "true or false"; }
        std::string operator()(int* (*)(Options&)) const { return "whole number"; }
        std::string operator()(std::int64_t* (*)(Options&)) const { return "whole number"; }
        std::string operator()(milliseconds* (*)(Options&)) const { return "whole number"; }
        std::string operator()(std::vector<std::string>* (*)(Options&)) const {
            return "text or list of texts";
        }
        std::string operator()(LogLevel* (*)(Options&)) const {
            return fmt::format("{}", fmt::join(log_level_names(), " | "));
        }
        std::string operator()(LogFormat* (*)(Options&)) const {
            return fmt::format("{}", fmt::join(log_format_names(), " | "));
        }
    };
    return std::visit(Name{}, setting.slot);
}

void append_wrapped(std::string& text, std::string_view paragraph, std::size_t indent, std::size_t width) {
    std::istringstream words{std::string(paragraph)};
    std::string line(indent, ' ');
    bool empty = true;
    for (std::string word; words >> word;) {
        if (!empty && line.size() + 1 + word.size() > width) {
            text += line + "\n";
            line.assign(indent, ' ');
            empty = true;
        }
        if (!empty) line += ' ';
        line += word;
        empty = false;
    }
    if (!empty) text += line + "\n";
}

}  // namespace

std::string settings_reference(std::size_t width) {
    std::string text;
    append_wrapped(
        text,
        "Settings of tasker-orchestrator. A key a.b is written as `b:` inside `a:`. Environment variables win "
        "over files, files over defaults. The step_execution section may stand in a zeromq.yaml of its own, "
        "which is read when it lies beside the configuration file; workers read the same file.",
        0, width);
    const Options defaults;
    std::string_view section = "-";
    for (const Setting& setting : settings()) {
        const std::size_t dot = setting.key.find('.');
        const std::string_view own =
            dot == std::string_view::npos ? std::string_view{} : setting.key.substr(0, dot);
        if (own != section) text += fmt::format("\n{}\n", own.empty() ? "general" : own);
        section = own;

        const std::string value = value_text(setting, defaults);
        std::string facts = type_text(setting);
        if (!setting.unit.empty()) facts += fmt::format(", {}", setting.unit);
        if (setting.min < setting.max) facts += fmt::format(", {} to {}", setting.min, setting.max);
        facts += value.empty() ? ", no default" : fmt::format(", default {}", value);
        text += fmt::format("  {}\n", setting.key);
        append_wrapped(text, facts, 6, width);
        if (!setting.reserved.empty()) {
            append_wrapped(
                text,
                fmt::format("Reserved {}: any other value than the default is refused.", setting.reserved), 6,
                width);
        }
        append_wrapped(text, setting.description, 6, width);
        if (!setting.environment_variable.empty()) {
            append_wrapped(text, fmt::format("Environment: {}", setting.environment_variable), 6, width);
        }
        for (const std::string_view alias : setting.aliases) {
            append_wrapped(text, fmt::format("Also accepted: {}", alias), 6, width);
        }
    }
    return text;
}

}  // namespace tasker::options
