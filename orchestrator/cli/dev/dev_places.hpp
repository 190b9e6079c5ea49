// Where a `tasker dev` keeps its data and its sockets. Normally all of it is inside .tasker/; what cannot be
// there (the server's user cannot enter it, or a path cannot be an address) goes elsewhere and is recorded in
// .tasker/places.json, so that the next start finds it.
//
// The record is a hint from a file that anybody may have written: a path in it counts only when it is one
// that tasker dev itself makes, and belongs to us.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "orchestrator/cli/dev/dev_folder.hpp"
#include "orchestrator/util/file_lock.hpp"

namespace tasker::cli {

/// `data_dir` lasts; `run_dir` holds sockets only (`run_dir`/pg the server's) and may be thrown away on every
/// stop.
struct DevPlaces {
    std::filesystem::path data_dir;
    std::filesystem::path run_dir;
    bool run_dir_is_elsewhere = false;
    std::string data_made;              // the mark of the data directory's making, as recorded
    std::vector<std::string> remarks;   // what is elsewhere, and why
    std::vector<util::FileLock> locks;  // of the directories elsewhere, while they are in use

    std::filesystem::path server_socket_dir() const { return run_dir / "pg"; }
};

struct PlacesRequest {
    bool with_server = true;  // false: an existing server is used
    bool adopt_data = false;  // take a data directory that was not made here
};

/// Longest path of a unix socket we accept; the system's limit is 107 bytes, and clients add temporary
/// endings.
constexpr std::size_t kSocketPathMax = 90;

/// Chooses the places, or finds the recorded ones, and creates the run directory. Call with the lock held.
/// A sentence when what lies there must not be used.
tl::expected<DevPlaces, std::string> prepare_places(const DevFolder& folder, const PlacesRequest& request);

/// Records that `made`, complete but perhaps not yet renamed, is the data directory of these places.
void record_data_made(const DevFolder& folder, DevPlaces& places, const std::filesystem::path& made);

/// Removes the sockets and, when it is elsewhere, the run directory.
void remove_run_dir(const DevFolder& folder, const DevPlaces& places);

/// Whether a path is that of a socket in the run directory of some `tasker dev`, running or not.
bool is_in_run_dir(const std::filesystem::path& socket);

/// Whether a database URL is one that some `tasker dev` has printed for its private server; and whether that
/// server is gone.
bool is_url_of_dev(const std::string& database_url);
bool is_url_of_stopped_dev(const std::string& database_url);

}  // namespace tasker::cli
