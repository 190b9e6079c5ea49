#include "orchestrator/util/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
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
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
        return tl::unexpected(FileLockError{
            false, "", "cannot open the lock file " + path.string() + ": " + std::strerror(errno)});
    }
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
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
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
