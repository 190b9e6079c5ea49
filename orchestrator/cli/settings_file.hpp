// Which settings file a command reads.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace tasker::cli {

/// The file that --config names, else config/orchestrator.yaml if it exists here, else nothing: the defaults.
inline std::optional<std::filesystem::path> settings_file(const std::string& option) {
    constexpr const char* kUsual = "config/orchestrator.yaml";
    if (!option.empty()) return option;
    std::error_code ignored;
    if (std::filesystem::exists(kUsual, ignored)) return kUsual;
    return std::nullopt;
}

}  // namespace tasker::cli
