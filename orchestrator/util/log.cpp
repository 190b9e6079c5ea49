#include "orchestrator/util/log.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <cmath>
#include <functional>
#include <mutex>
#include <unordered_map>

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

// A text's beginning, at most so long that it ends between two characters; and its whole length if it is cut.
struct Shown {
    explicit Shown(std::string_view whole) : text(whole.substr(0, kTextBytesMax)) {
        if (whole.size() <= kTextBytesMax) return;
        const auto continues = [&] {
            return (static_cast<unsigned char>(whole[text.size()]) & 0xc0U) == 0x80U;
        };
        while (text.size() > kTextBytesMax - 4 && continues()) text.remove_suffix(1);
        rest = fmt::format("… ({} bytes)", whole.size());
    }
    std::string_view text;
    std::string rest;
};

void append_quoted(std::string& line, std::string_view whole) {
    const Shown shown(whole);
    line += '"';
    for (const char character : shown.text) {
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
    line += shown.rest;
    line += '"';
}

bool needs_quotes(std::string_view text) {
    if (text.empty() || text.size() > kTextBytesMax) return true;
    for (const char character : text) {
        if (static_cast<unsigned char>(character) <= ' ' || character == '"' || character == '=' ||
            character == 0x7f) {
            return true;
        }
    }
    return false;
}

// How often each message is written. What peers do can bring any of them about, as often as they like.
class Rates {
  public:
    struct Verdict {
        bool write = true;
        std::int64_t suppressed = 0;  // before this line
        bool last = false;            // those that follow are counted only
    };

    Verdict judge(std::string_view message) {
        const std::int64_t now = boot_time().count();
        const std::lock_guard lock(mutex_);
        // Messages are this program's own words, some with the text of an error in them.
        if (counts_.size() > kMessagesMax) counts_.clear();
        Count& count = counts_[std::hash<std::string_view>{}(message)];
        Verdict verdict;
        if (count.lines == 0 || now - count.began >= kLinesPeriodMs) {
            verdict.suppressed = count.suppressed;
            count = {now, 0, 0};
        }
        verdict.write = ++count.lines <= kLinesMax;
        verdict.last = count.lines == kLinesMax;
        if (!verdict.write) ++count.suppressed;
        return verdict;
    }

  private:
    static constexpr std::size_t kMessagesMax = 1000;
    struct Count {
        std::int64_t began = 0;
        std::int64_t lines = 0;
        std::int64_t suppressed = 0;
    };

    std::mutex mutex_;
    std::unordered_map<std::size_t, Count> counts_;  // by the hash of the message
};

Rates& rates() {
    static auto* instance = new Rates;  // as the logger
    return *instance;
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
    const auto rate = level >= Level::info ? rates().judge(message) : Rates::Verdict{};
    if (!rate.write) return;
    const bool json = g_format.load(std::memory_order_relaxed) == Format::json;
    std::string line;
    line.reserve(160);
    if (json) {
        line +=
            "{\"time\":\"" + rfc3339_utc_now() + "\",\"level\":\"" + level_name(level) + "\",\"message\":";
        append_quoted(line, message);
    } else {
        const Shown shown(message);
        fmt::format_to(std::back_inserter(line), "{} {:<7} {}{}", rfc3339_utc_now(), level_name(level),
                       shown.text, shown.rest);
    }
    const auto append = [&](const Field& field) { json ? field.append_json(line) : field.append_text(line); };
    for (const Field& field : fields) append(field);
    if (rate.suppressed > 0) append({"suppressed_before", rate.suppressed});
    if (rate.last) append({"suppressed_for_ms", kLinesPeriodMs});
    if (json) line += '}';
    logger().log(spdlog_level(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace tasker::util::log
