#include "orchestrator/cli/dev/dev_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tasker::cli {
namespace {

namespace fs = std::filesystem;

/// Links above the last part are the user's own business; the last part is not resolved.
fs::path resolved_above(const fs::path& directory, std::error_code& problem) {
    const fs::path absolute = fs::absolute(directory).lexically_normal();
    const fs::path path = absolute.has_filename() ? absolute : absolute.parent_path();
    const fs::path above = fs::canonical(path.parent_path(), problem);
    return above / path.filename();
}

}  // namespace

tl::expected<DevFolder, std::string> DevFolder::make(const fs::path& directory) {
    std::error_code problem;
    const fs::path wanted = fs::absolute(directory).lexically_normal();
    fs::create_directories((wanted.has_filename() ? wanted : wanted.parent_path()).parent_path(), problem);
    const fs::path path = problem ? wanted : resolved_above(directory, problem);
    if (problem) return tl::unexpected(fmt::format("cannot create {}: {}", path.string(), problem.message()));
    const bool created = ::mkdir(path.c_str(), 0700) == 0;
    if (!created && errno != EEXIST) {
        return tl::unexpected(fmt::format("cannot create {}: {}", path.string(), std::strerror(errno)));
    }
    auto fd = open_own_directory(AT_FDCWD, path, path);
    if (!fd) {
        return tl::unexpected(
            fmt::format("{}, so tasker dev does not use it; remove it, or name another directory with --dir",
                        fd.error().empty() ? path.string() + " has gone" : fd.error()));
    }
    if (!created && !status_at(fd->get(), kDevLockFile) && !fs::is_empty(path, problem)) {
        return tl::unexpected(
            fmt::format("{} holds files, and no tasker dev has made it; remove it, or name another directory "
                        "with --dir",
                        path.string()));
    }
    if (::fchmod(fd->get(), ::geteuid() == 0 ? 0711 : 0700) < 0) {
        return tl::unexpected(fmt::format("cannot protect {}: {}", path.string(), std::strerror(errno)));
    }
    return DevFolder(path, std::move(*fd));
}

tl::expected<DevFolder, std::string> DevFolder::open(const fs::path& directory) {
    std::error_code problem;
    const fs::path path = resolved_above(directory, problem);
    if (problem) return tl::unexpected(std::string());
    auto fd = open_own_directory(AT_FDCWD, path, path);
    if (!fd) return tl::unexpected(fd.error());
    return DevFolder(path, std::move(*fd));
}

tl::expected<util::FileLock, util::FileLockError> DevFolder::try_lock() const {
    return util::FileLock::try_acquire_at(fd(), kDevLockFile, fmt::format("pid {}", ::getpid()));
}

bool DevFolder::is_locked() const {
    return util::FileLock::is_held_at(fd(), kDevLockFile);
}

}  // namespace tasker::cli
