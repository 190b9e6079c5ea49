// Which database a command talks to.
#pragma once

#include <filesystem>
#include <string>

namespace tasker::cli {

/// A database URL and where it came from, in words: "--database", "TASKER_DATABASE_URL", "the tasker dev in
/// …".
struct DatabaseChoice {
    std::string url = {};  // empty: none of these says anything, and the configuration file decides
    std::string source = {};
    std::string remark = {};  // for people: what was passed over
    bool stopped = false;     // the URL is that of a tasker dev which does not run any more
};

/// In this order: the --database option, the environment variable TASKER_DATABASE_URL, a `tasker dev` that
/// runs in the nearest `.tasker/` (this directory or one above it). A variable that a stopped `tasker dev`
/// left behind gives way to one that runs.
DatabaseChoice choose_database(const std::string& option, const std::filesystem::path& start);

}  // namespace tasker::cli
