// The record that a running `tasker dev` keeps in its directory, so that other commands find it.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/cli/dev/dev_folder.hpp"

namespace tasker::cli {

struct DevEndpoints {
    std::string steps;
    std::string results;
    std::string command;
};

/// dev.json. `data_dir` is empty when an existing server is used.
struct DevState {
    int pid = 0;
    int orchestrator_pid = 0;
    std::string started_at;
    std::string database_url;
    std::string data_dir;
    DevEndpoints endpoints;

    nlohmann::ordered_json to_json() const;
};

/// Writes dev.json at once and whole (a reader never sees half of it). Throws std::system_error.
void write_dev_state(const DevFolder& folder, const DevState& state);

/// The state of the `tasker dev` that runs in `folder` now: its lock is held and it has announced itself.
/// A state file that a killed one left behind does not count, nor one of another user.
std::optional<DevState> read_running_dev(const DevFolder& folder);
std::optional<DevState> read_running_dev(const std::filesystem::path& directory);

/// What was found in `start` and the directories above it.
struct DevSearch {
    std::optional<std::filesystem::path> directory;  // the nearest .tasker in which a tasker dev runs
    std::vector<std::string> passed_over;            // each nearer .tasker that is not used, and why
};
DevSearch find_running_dev(const std::filesystem::path& start);

/// As one word of a POSIX shell.
std::string shell_quoted(const std::string& text);

}  // namespace tasker::cli
