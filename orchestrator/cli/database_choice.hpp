// Which database a command talks to.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace tasker::cli {

/// A database URL and where it came from, in words: "--database", "TASKER_DATABASE_URL", "the tasker dev in
/// …".
struct DatabaseChoice {
    std::string url;
    std::string source;
};

/// In this order: the --database option, the environment variable TASKER_DATABASE_URL, a `tasker dev` that
/// runs in the nearest `.tasker/` (this directory or one above it). Nothing when none of them says anything:
/// then the configuration file decides.
std::optional<DatabaseChoice> choose_database(const std::string& option, const std::filesystem::path& start);

}  // namespace tasker::cli
