// The table of all settings: the one place that knows a setting's key, meaning, unit, limits and variable.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "orchestrator/options/options.hpp"

namespace tasker::options {

/// Where a setting's value lives in Options; the alternative is its type.
using Slot =
    std::variant<std::string* (*)(Options&), bool* (*)(Options&), int* (*)(Options&),
                 std::int64_t* (*)(Options&), milliseconds* (*)(Options&),
                 std::vector<std::string>* (*)(Options&), LogLevel* (*)(Options&), LogFormat* (*)(Options&)>;

/// What a text must look like beyond being text.
enum class TextForm { any, zmq_bind, zmq_connect, http_bind, name, path, database_url };

/// One setting. `min` and `max` are inclusive and count for numbers and durations only; `unit` is empty for
/// plain counts and texts; `environment_variable` is empty when there is none. `aliases` are older spellings.
/// `reserved` says until when the setting has no effect: any value but the default is refused until then.
struct Setting {
    std::string_view key;
    Slot slot;
    std::string_view unit = {};
    std::int64_t min = 0;
    std::int64_t max = 0;
    TextForm form = TextForm::any;
    std::string_view environment_variable = {};
    std::vector<std::string_view> aliases = {};
    std::string_view reserved = {};
    std::string_view description = {};
};

/// All settings, grouped by section, in the order in which people read them.
std::span<const Setting> settings();

/// The setting with this key or alias, or null.
const Setting* find_setting(std::string_view key);

/// The value of `setting` in `options` as people write it: 1000, true, tcp://127.0.0.1:5555, [a, b].
std::string value_text(const Setting& setting, const Options& options);

/// Spellings of the log enumerations, in their order.
const std::vector<std::string>& log_level_names();
const std::vector<std::string>& log_format_names();

/// The reference for `tasker-orchestrator --help-settings`: every setting with meaning, unit, default, limits
/// and environment variable, wrapped at `width` columns.
std::string settings_reference(std::size_t width = 100);

}  // namespace tasker::options
