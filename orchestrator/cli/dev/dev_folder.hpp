// The directory of a `tasker dev`, .tasker/: opened once, checked, and used through its descriptor. It may
// have come with a cloned repository or belong to somebody else, so nothing in it is believed unseen.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <tl/expected.hpp>

#include "orchestrator/cli/dev/own_files.hpp"
#include "orchestrator/util/file_lock.hpp"

namespace tasker::cli {

/// Names inside the directory of a `tasker dev`.
inline constexpr const char* kDevDirectory = ".tasker";
inline constexpr const char* kDevLockFile = "lock";
inline constexpr const char* kDevStateFile = "dev.json";

/// An open directory of ours that is no link.
class DevFolder {
  public:
    /// For `tasker dev` itself: creates it where missing, and closes it to others (0700; for root 0711, since
    /// the server's user must pass). A sentence when it is not ours, a link, or holds files of other kinds.
    static tl::expected<DevFolder, std::string> make(const std::filesystem::path& directory);
    /// For whoever looks for a running one. An empty sentence: there is none.
    static tl::expected<DevFolder, std::string> open(const std::filesystem::path& directory);

    /// Absolute, without links in it.
    const std::filesystem::path& path() const { return path_; }
    int fd() const { return fd_.get(); }

    tl::expected<util::FileLock, util::FileLockError> try_lock() const;
    bool is_locked() const;
    void remove(const std::string& name) const { remove_tree_at(fd(), name); }

  private:
    DevFolder(std::filesystem::path path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

    std::filesystem::path path_;
    Fd fd_;
};

}  // namespace tasker::cli
