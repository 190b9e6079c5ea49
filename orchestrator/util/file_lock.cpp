#include "orchestrator/util/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace tasker::util {
namespace {

std::string read_label(int fd) {
    char buffer[256];
    const ssize_t size = ::pread(fd, buffer, sizeof buffer, 0);
    std::string label(buffer, size > 0 ? static_cast<std::size_t>(size) : 0);
    while (!label.empty() && label.back() == '\n') label.pop_back();
    return label;
}

/// Why the open file must not be written into; nothing when it may be.
const char* why_no_lock_file(int fd) {
    struct stat found {};
    if (::fstat(fd, &found) < 0) return std::strerror(errno);
    if (!S_ISREG(found.st_mode)) return "it is no plain file";
    if (found.st_nlink > 1) return "it is another file, too (a hard link)";
    return nullptr;
}

int lock_without_waiting(int fd, int mode) {
    int result = 0;
    do {
        result = ::flock(fd, mode | LOCK_NB);
    } while (result < 0 && errno == EINTR);
    return result;
}

}  // namespace

tl::expected<FileLock, FileLockError> FileLock::try_acquire(const std::filesystem::path& path,
                                                            const std::string& label) {
    return try_acquire_at(AT_FDCWD, path, label);
}

tl::expected<FileLock, FileLockError> FileLock::try_acquire_at(int directory_fd,
                                                               const std::filesystem::path& path,
                                                               const std::string& label) {
    const int fd = ::openat(directory_fd, path.c_str(),
                            O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    const char* fault = fd < 0 ? std::strerror(errno) : why_no_lock_file(fd);
    if (fault != nullptr) {
        if (fd >= 0) ::close(fd);
        return tl::unexpected(
            FileLockError{false, "", "cannot open the lock file " + path.string() + ": " + fault});
    }
    // Also one that an older program made wider: who can open a lock can hold it. (Only its owner may.)
    [[maybe_unused]] const int narrowed = ::fchmod(fd, 0600);
    if (lock_without_waiting(fd, LOCK_EX) < 0) {
        const int error = errno;
        FileLockError problem{error == EWOULDBLOCK, read_label(fd), ""};
        problem.text = problem.held ? path.string() + " is locked by " +
                                          (problem.holder.empty() ? "another process" : problem.holder)
                                    : "cannot lock " + path.string() + ": " + std::strerror(error);
        ::close(fd);
        return tl::unexpected(problem);
    }
    const std::string line = label + "\n";
    if (::ftruncate(fd, 0) < 0 ||
        ::pwrite(fd, line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) {
        FileLockError problem{false, "", "cannot write " + path.string() + ": " + std::strerror(errno)};
        ::close(fd);
        return tl::unexpected(problem);
    }
    return FileLock(fd);
}

bool FileLock::is_held(const std::filesystem::path& path) {
    return is_held_at(AT_FDCWD, path);
}

bool FileLock::is_held_at(int directory_fd, const std::filesystem::path& path) {
    // Without O_NONBLOCK a pipe that somebody left there would stop us for ever.
    const int fd = ::openat(directory_fd, path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return false;
    // A shared lock is enough to ask, and two who ask at once do not see each other.
    const bool held = lock_without_waiting(fd, LOCK_SH) < 0 && errno == EWOULDBLOCK;
    ::close(fd);
    return held;
}

FileLock::~FileLock() {
    if (fd_ >= 0) ::close(fd_);
}
FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
FileLock& FileLock::operator=(FileLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
}

}  // namespace tasker::util
