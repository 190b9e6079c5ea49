// Structured logs on standard error: a message, and facts as key=value (for people) or one JSON object per
// line (for machines). Keys are spelled as in the database: task_id, workflow_step_id, batch_uuid, session …
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

namespace tasker::util::log {

enum class Level { trace, debug, info, warning, error };
enum class Format { text, json };

/// Sets level and format for the process. Call once at start, before other threads log; without it: info,
/// text.
void configure(Level level, Format format);

/// One fact. Text is quoted where needed; numbers and booleans stay what they are in JSON.
class Field {
  public:
    Field(std::string_view key, std::string_view value) : key_(key), value_(value) {}
    Field(std::string_view key, const char* value) : key_(key), value_(std::string_view(value)) {}
    Field(std::string_view key, const std::string& value) : key_(key), value_(std::string_view(value)) {}
    Field(std::string_view key, bool value) : key_(key), value_(value) {}
    Field(std::string_view key, double value) : key_(key), value_(value) {}
    template <std::integral Number>
    requires(!std::same_as<Number, bool>) Field(std::string_view key, Number value)
        : key_(key), value_(static_cast<std::int64_t>(value)) {}

    void append_text(std::string& line) const;
    void append_json(std::string& line) const;

  private:
    std::string_view key_;
    std::variant<std::string_view, std::int64_t, double, bool> value_;
};

using Fields = std::initializer_list<Field>;

/// True when a message of this level would be written: ask before building expensive fields.
bool enabled(Level level);
/// Longer texts are cut, with their whole length behind: much of what is logged comes from outside.
inline constexpr std::size_t kTextBytesMax = 2048;
/// Lines of one message within kLinesPeriodMs. More are counted, and the next line that is written says how
/// many there were. Debug and trace, which somebody has asked for, are not limited.
inline constexpr int kLinesMax = 200;
inline constexpr std::int64_t kLinesPeriodMs = 10'000;

/// Writes one line; thread-safe. The fields are only read during the call.
void write(Level level, std::string_view message, Fields fields = {});

inline void debug(std::string_view message, Fields fields = {}) {
    write(Level::debug, message, fields);
}
inline void info(std::string_view message, Fields fields = {}) {
    write(Level::info, message, fields);
}
inline void warning(std::string_view message, Fields fields = {}) {
    write(Level::warning, message, fields);
}
inline void error(std::string_view message, Fields fields = {}) {
    write(Level::error, message, fields);
}

}  // namespace tasker::util::log
