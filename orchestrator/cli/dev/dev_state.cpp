#include "orchestrator/cli/dev/dev_state.hpp"

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

void write_dev_state(const DevFolder& folder, const DevState& state) {
    // The path of a project need not be UTF-8.
    write_own_file(folder.fd(), kDevStateFile,
                   state.to_json().dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

std::optional<DevState> read_running_dev(const DevFolder& folder) {
    if (!folder.is_locked()) return std::nullopt;
    const auto text = read_own_file(folder.fd(), kDevStateFile);
    if (!text) return std::nullopt;
    const auto json = nlohmann::json::parse(*text, nullptr, false);
    if (!json.is_object()) return std::nullopt;
    DevState state;
    try {
        state.pid = json.value("pid", 0);
        state.orchestrator_pid = json.value("orchestrator_pid", 0);
        state.started_at = json.value("started_at", "");
        state.database_url = json.value("database_url", "");
        state.data_dir = json.value("data_dir", "");
        const auto endpoints = json.value("endpoints", nlohmann::json::object());
        state.endpoints = {endpoints.value("steps", ""), endpoints.value("results", ""),
                           endpoints.value("command", "")};
    } catch (const nlohmann::json::exception&) {
        return std::nullopt;  // another program's file
    }
    return state;
}

std::optional<DevState> read_running_dev(const fs::path& directory) {
    const auto folder = DevFolder::open(directory);
    return folder ? read_running_dev(*folder) : std::nullopt;
}

DevSearch find_running_dev(const fs::path& start) {
    DevSearch search;
    for (fs::path above = fs::absolute(start).lexically_normal();; above = above.parent_path()) {
        const auto folder = DevFolder::open(above / kDevDirectory);
        if (!folder && !folder.error().empty()) search.passed_over.push_back(folder.error());
        if (folder && read_running_dev(*folder)) {
            search.directory = folder->path();
            return search;
        }
        if (above == above.root_path() || above.empty()) return search;
    }
}

std::string shell_quoted(const std::string& text) {
    std::string quoted = "'";
    for (const char character : text) {
        if (character == '\'') {
            quoted += "'\\''";
        } else {
            quoted += character;
        }
    }
    return quoted + "'";
}

}  // namespace tasker::cli
