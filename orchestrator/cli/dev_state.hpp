// The record that a running `tasker dev` keeps in its directory, so that other commands find it.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

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

/// Names inside the directory of a `tasker dev`.
inline constexpr const char* kDevDirectory = ".tasker";
inline constexpr const char* kDevLockFile = "lock";
inline constexpr const char* kDevStateFile = "dev.json";

/// Writes dev.json at once and whole (a reader never sees half of it). Throws std::system_error.
void write_dev_state(const std::filesystem::path& directory, const DevState& state);

/// The state of the `tasker dev` that runs in `directory` now: its lock is held and it has announced itself.
/// A state file that a killed one left behind does not count.
std::optional<DevState> read_running_dev(const std::filesystem::path& directory);

/// The nearest directory named .tasker, in `start` or above it, in which a `tasker dev` runs.
std::optional<std::filesystem::path> find_running_dev(const std::filesystem::path& start);

}  // namespace tasker::cli
