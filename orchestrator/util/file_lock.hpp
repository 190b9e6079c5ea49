// A lock that dies with its holder. It guards whatever two processes must not own at once: a data directory,
// or an ipc:// endpoint (libzmq lets a second bind quietly take the path from the first).
#pragma once

#include <filesystem>
#include <string>
#include <tl/expected.hpp>

namespace tasker::util {

struct FileLockError {
    bool held = false;   // another process (or this one) holds the lock; else the file could not be used
    std::string holder;  // what the holder wrote into the file, may be empty
    std::string text;    // one sentence for people
};

/// Holds an exclusive flock() on `path` until destroyed. The file stays (removing it would race with the next
/// holder). Not inherited by programs this process starts.
class FileLock {
  public:
    /// Creates the file (for its owner only) when it is missing. `label` is written into it for whoever finds
    /// the lock held. A link, a second name of another file and whatever is no plain file are refused.
    static tl::expected<FileLock, FileLockError> try_acquire(const std::filesystem::path& path,
                                                             const std::string& label);
    /// The same, with a relative `path` meant from the open directory `directory_fd`.
    static tl::expected<FileLock, FileLockError> try_acquire_at(int directory_fd,
                                                                const std::filesystem::path& path,
                                                                const std::string& label);
    /// Whether somebody holds the lock now; false when there is no such plain file.
    static bool is_held(const std::filesystem::path& path);
    static bool is_held_at(int directory_fd, const std::filesystem::path& path);

    ~FileLock();
    FileLock(FileLock&& other) noexcept;
    FileLock& operator=(FileLock&& other) noexcept;
    FileLock(const FileLock&) = delete;
    FileLock& operator=(const FileLock&) = delete;

  private:
    explicit FileLock(int fd) : fd_(fd) {}
    int fd_ = -1;
};

}  // namespace tasker::util
