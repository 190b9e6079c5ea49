// What the fuzz targets share: properties that end the process when they do not hold, so that libFuzzer keeps
// the input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace tasker::fuzz {

inline std::string_view as_text(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

/// Stops the target with a line that names the broken property; `detail` is what was seen instead.
inline void require(bool holds, std::string_view property, std::string_view detail = {}) {
    if (holds) return;
    std::fprintf(stderr, "BROKEN PROPERTY: %.*s\n%.*s\n", static_cast<int>(property.size()), property.data(),
                 static_cast<int>(detail.size()), detail.data());
    std::abort();
}

}  // namespace tasker::fuzz
