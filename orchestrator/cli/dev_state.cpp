#include "orchestrator/cli/dev_state.hpp"

#include <cerrno>
#include <fstream>
#include <system_error>

#include "orchestrator/util/file_lock.hpp"

namespace tasker::cli {

namespace fs = std::filesystem;

nlohmann::ordered_json DevState::to_json() const {
    return {{"pid", pid},
            {"orchestrator_pid", orchestrator_pid},
            {"started_at", started_at},
            {"database_url", database_url},
            {"data_dir", data_dir},
            {"endpoints",
             {{"steps", endpoints.steps}, {"results", endpoints.results}, {"command", endpoints.command}}}};
}

void write_dev_state(const fs::path& directory, const DevState& state) {
    const fs::path file = directory / kDevStateFile;
    const fs::path fresh = directory / (std::string(kDevStateFile) + ".new");
    {
        // The URL may hold a password.
        std::ofstream stream(fresh, std::ios::trunc);
        fs::permissions(fresh, fs::perms::owner_read | fs::perms::owner_write);
        stream << state.to_json().dump(2) << '\n';
        stream.flush();
        if (!stream)
            throw std::system_error(errno, std::generic_category(), "cannot write " + fresh.string());
    }
    fs::rename(fresh, file);
}

std::optional<DevState> read_running_dev(const fs::path& directory) {
    if (!util::FileLock::is_held(directory / kDevLockFile)) return std::nullopt;
    std::ifstream stream(directory / kDevStateFile);
    if (!stream) return std::nullopt;
    const auto json = nlohmann::json::parse(stream, nullptr, false);
    if (!json.is_object()) return std::nullopt;
    DevState state;
    state.pid = json.value("pid", 0);
    state.orchestrator_pid = json.value("orchestrator_pid", 0);
    state.started_at = json.value("started_at", "");
    state.database_url = json.value("database_url", "");
    state.data_dir = json.value("data_dir", "");
    const auto endpoints = json.value("endpoints", nlohmann::json::object());
    state.endpoints = {endpoints.value("steps", ""), endpoints.value("results", ""),
                       endpoints.value("command", "")};
    return state;
}

std::optional<fs::path> find_running_dev(const fs::path& start) {
    for (fs::path folder = fs::absolute(start).lexically_normal();; folder = folder.parent_path()) {
        const fs::path candidate = folder / kDevDirectory;
        std::error_code ignored;  // an unreadable directory above us is simply not the one
        if (fs::is_directory(candidate, ignored) && read_running_dev(candidate)) return candidate;
        if (folder == folder.root_path() || folder.empty()) return std::nullopt;
    }
}

}  // namespace tasker::cli
