// The formats of JSON Schema draft 7 that are checked.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tasker::templates {

/// Judges one text, in linear time.
using FormatCheck = bool (*)(std::string_view text);

/// The check of this format, or null when nothing checks it.
FormatCheck find_format(std::string_view name);

/// The names find_format() knows.
const std::vector<std::string>& checked_formats();

/// A day that exists, "2024-02-29"; years from 0000 on.
bool is_date(std::string_view text);

}  // namespace tasker::templates
