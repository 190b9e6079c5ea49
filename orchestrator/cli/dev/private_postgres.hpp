// A PostgreSQL server of one's own: initdb, start, stop, in given directories, reachable by unix socket only.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "orchestrator/util/process.hpp"

namespace tasker::cli {

/// Where the server lives and how it is set. PostgreSQL refuses to run as root: then it runs as the user
/// `postgres`, which must be able to enter both directories (see make_server_directory).
struct PrivatePostgresPlan {
    std::filesystem::path data_dir;          // made by initdb when missing
    std::filesystem::path socket_dir;        // exists; its path is short (a socket path has 107 bytes)
    std::filesystem::path log_file;          // what initdb and the server print is appended here
    int log_fd = -1;                         // the open log_file, when its name is not to be trusted
    std::vector<std::string> settings = {};  // "fsync=off"
    bool durable_initdb = true;              // false: initdb does not wait for the disk (tests)
    std::function<bool()> cancelled = {};    // asked while waiting; true gives up
    // Called with a new data directory that is complete, just before it gets its name.
    std::function<void(const std::filesystem::path&)> on_created = {};
};

/// The user the server must run as: "postgres" when we are root, else empty (ourselves).
std::string server_user();

/// Makes `path` (its parents must exist) a directory with mode 0700 that belongs to the server's user.
tl::expected<void, std::string> make_server_directory(const std::filesystem::path& path);

/// Whether the server's user can enter `path`.
bool server_can_enter(const std::filesystem::path& path);

/// Ends a server that still runs in `data_dir`, because whoever started it was killed. True when none was
/// there or it has ended; a sentence when it does not end within `limit`.
tl::expected<bool, std::string> stop_stale_server(const std::filesystem::path& data_dir,
                                                  std::chrono::milliseconds limit);

/// A running server. It is a session of its own (Ctrl-C does not reach it) and shuts down by itself when the
/// thread that started it dies. The destructor stops it.
class PrivatePostgres {
  public:
    /// initdb where needed, start, and wait until it answers. A sentence with the cause and the last lines of
    /// its log on failure.
    static tl::expected<PrivatePostgres, std::string> start(PrivatePostgresPlan plan);

    ~PrivatePostgres();
    PrivatePostgres(PrivatePostgres&&) noexcept = default;
    PrivatePostgres& operator=(PrivatePostgres&&) = delete;

    /// postgresql://postgres@/NAME?host=SOCKET_DIR&port=5432
    std::string url(const std::string& database) const;
    /// Creates the database unless it exists. Throws store::DatabaseError.
    void ensure_database(const std::string& database) const;
    /// The server's process, to be watched.
    util::Process& process() { return process_; }
    /// `problem`, the place of its log, and the last lines there.
    std::string with_log(const std::string& problem) const;
    /// Fast shutdown (open sessions are ended, data is safe); immediate when it takes longer than `limit`.
    util::ExitStatus stop(std::chrono::milliseconds limit);

  private:
    PrivatePostgres(PrivatePostgresPlan plan, util::Process process)
        : plan_(std::move(plan)), process_(std::move(process)) {}

    PrivatePostgresPlan plan_;
    util::Process process_;
    bool stopped_ = false;
};

}  // namespace tasker::cli
