// Where a `tasker dev` keeps its data and its sockets. Normally all of it is inside .tasker/; what cannot be
// there (the server's user cannot enter it, or a socket's path would be too long) goes elsewhere and is
// recorded in .tasker/places.json, so that the next start finds it.
#pragma once

#include <filesystem>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace tasker::cli {

/// `data_dir` lasts; `run_dir` holds sockets only (`run_dir`/pg the server's) and may be thrown away on every
/// stop.
struct DevPlaces {
    std::filesystem::path directory;  // .tasker itself, absolute
    std::filesystem::path data_dir;
    std::filesystem::path run_dir;
    std::vector<std::string> remarks;  // what is elsewhere, and why

    std::filesystem::path server_socket_dir() const { return run_dir / "pg"; }
    std::filesystem::path log_file() const { return directory / "postgres.log"; }
    bool run_dir_is_elsewhere() const { return run_dir.parent_path() != directory; }
};

/// Longest path of a unix socket we accept; the system's limit is 107 bytes, and clients add temporary
/// endings.
constexpr std::size_t kSocketPathMax = 90;

/// Creates `directory` (with a .gitignore of its own) and nothing else; needed before its lock can be taken.
tl::expected<std::filesystem::path, std::string> make_dev_directory(const std::filesystem::path& directory);

/// Chooses the places, or finds the recorded ones, and creates the run directory. Call with the lock held.
tl::expected<DevPlaces, std::string> prepare_places(const std::filesystem::path& directory, bool with_server);

/// Removes the sockets and, when it is elsewhere, the run directory.
void remove_run_dir(const DevPlaces& places);

}  // namespace tasker::cli
