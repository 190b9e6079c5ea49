#include "orchestrator/util/log.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <cmath>

#include "orchestrator/util/time.hpp"

namespace tasker::util::log {
namespace {

std::atomic<Format> g_format{Format::text};

spdlog::level::level_enum spdlog_level(Level level) {
    switch (level) {
        case Level::trace:
            return spdlog::level::trace;
        case Level::debug:
            return spdlog::level::debug;
        case Level::info:
            return spdlog::level::info;
        case Level::warning:
            return spdlog::level::warn;
        case Level::error:
            return spdlog::level::err;
    }
    return spdlog::level::info;
}

const char* level_name(Level level) {
    switch (level) {
        case Level::trace:
            return "trace";
        case Level::debug:
            return "debug";
        case Level::info:
            return "info";
        case Level::warning:
            return "warning";
        case Level::error:
            return "error";
    }
    return "info";
}

spdlog::logger& logger() {
    // Never destroyed: threads may still log while the process ends.
    static spdlog::logger* instance = [] {
        auto* created = new spdlog::logger("tasker", std::make_shared<spdlog::sinks::stderr_sink_mt>());
        created->set_pattern("%v");
        created->set_level(spdlog::level::info);
        created->flush_on(spdlog::level::trace);
        return created;
    }();
    return *instance;
}

void append_quoted(std::string& line, std::string_view text) {
    line += '"';
    for (const char character : text) {
        const auto byte = static_cast<unsigned char>(character);
        if (character == '"' || character == '\\') {
            line += '\\';
            line += character;
        } else if (character == '\n') {
            line += "\\n";
        } else if (character == '\t') {
            line += "\\t";
        } else if (byte < 0x20 || byte == 0x7f) {
            fmt::format_to(std::back_inserter(line), "\\u{:04x}", byte);
        } else {
            line += character;
        }
    }
    line += '"';
}

bool needs_quotes(std::string_view text) {
    if (text.empty()) return true;
    for (const char character : text) {
        if (static_cast<unsigned char>(character) <= ' ' || character == '"' || character == '=' ||
            character == 0x7f) {
            return true;
        }
    }
    return false;
}

}  // namespace

void configure(Level level, Format format) {
    g_format = format;
    logger().set_level(spdlog_level(level));
}

void Field::append_text(std::string& line) const {
    line += ' ';
    line += key_;
    line += '=';
    if (const auto* text = std::get_if<std::string_view>(&value_)) {
        needs_quotes(*text) ? append_quoted(line, *text) : static_cast<void>(line += *text);
    } else if (const auto* number = std::get_if<std::int64_t>(&value_)) {
        fmt::format_to(std::back_inserter(line), "{}", *number);
    } else if (const auto* real = std::get_if<double>(&value_)) {
        fmt::format_to(std::back_inserter(line), "{}", *real);
    } else {
        line += std::get<bool>(value_) ? "true" : "false";
    }
}

void Field::append_json(std::string& line) const {
    line += ',';
    append_quoted(line, key_);
    line += ':';
    if (const auto* text = std::get_if<std::string_view>(&value_)) {
        append_quoted(line, *text);
    } else if (const auto* number = std::get_if<std::int64_t>(&value_)) {
        fmt::format_to(std::back_inserter(line), "{}", *number);
    } else if (const auto* real = std::get_if<double>(&value_)) {
        // JSON knows neither infinity nor NaN.
        if (std::isfinite(*real)) {
            fmt::format_to(std::back_inserter(line), "{}", *real);
        } else {
            line += "null";
        }
    } else {
        line += std::get<bool>(value_) ? "true" : "false";
    }
}

bool enabled(Level level) {
    return logger().should_log(spdlog_level(level));
}

void write(Level level, std::string_view message, Fields fields) {
    if (!enabled(level)) return;
    std::string line;
    line.reserve(160);
    if (g_format.load(std::memory_order_relaxed) == Format::json) {
        line +=
            "{\"time\":\"" + rfc3339_utc_now() + "\",\"level\":\"" + level_name(level) + "\",\"message\":";
        append_quoted(line, message);
        for (const Field& field : fields) field.append_json(line);
        line += '}';
    } else {
        fmt::format_to(std::back_inserter(line), "{} {:<7} {}", rfc3339_utc_now(), level_name(level),
                       message);
        for (const Field& field : fields) field.append_text(line);
    }
    logger().log(spdlog_level(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace tasker::util::log
