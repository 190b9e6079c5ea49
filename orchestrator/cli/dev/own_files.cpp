#include "orchestrator/cli/dev/own_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>
#include <vector>

namespace tasker::cli {
namespace {

constexpr off_t kFileBytesMax = 1024L * 1024;

/// O_NONBLOCK: a pipe with the name of a file must not stop us.
constexpr int kNoTricks = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

/// Why an open file is not one of ours; nothing when it is.
const char* why_not_ours(int fd) {
    struct stat found {};
    if (::fstat(fd, &found) < 0) return std::strerror(errno);
    if (!S_ISREG(found.st_mode)) return "it is no plain file";
    if (found.st_uid != ::geteuid()) return "it belongs to another user";
    if (found.st_nlink > 1) return "it is another file, too (a hard link)";
    return nullptr;
}

std::vector<std::string> names_in(int directory) {
    std::vector<std::string> names;
    // Its own descriptor: closedir() closes it.
    const int fd = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* stream = fd < 0 ? nullptr : ::fdopendir(fd);
    if (stream == nullptr) {
        if (fd >= 0) ::close(fd);
        return names;
    }
    while (const dirent* entry = ::readdir(stream)) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    ::closedir(stream);
    return names;
}

}  // namespace

Fd::~Fd() {
    if (number_ >= 0) ::close(number_);
}

tl::expected<Fd, std::string> open_own_directory(int at, const std::string& name,
                                                 const std::filesystem::path& shown) {
    const auto found = status_at(at, name);
    if (!found) return tl::unexpected(std::string());
    if (S_ISLNK(found->st_mode)) return tl::unexpected(shown.string() + " is a symbolic link");
    if (!S_ISDIR(found->st_mode)) return tl::unexpected(shown.string() + " is no directory");
    Fd fd(::openat(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    // The owner of what is open counts, not of what had the name before.
    struct stat opened {};
    if (fd && ::fstat(fd.get(), &opened) == 0 && opened.st_uid == ::geteuid()) return fd;
    if (found->st_uid != ::geteuid()) {
        return tl::unexpected(
            fmt::format("{} belongs to another user (uid {})", shown.string(), found->st_uid));
    }
    return tl::unexpected(fmt::format("cannot open {}: {}", shown.string(), std::strerror(errno)));
}

bool write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t size = ::write(fd, text.data(), text.size());
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return false;
        text.remove_prefix(static_cast<std::size_t>(size));
    }
    return true;
}

std::optional<struct stat> status_at(int at, const std::string& name) {
    struct stat found {};
    if (::fstatat(at, name.c_str(), &found, AT_SYMLINK_NOFOLLOW) < 0) return std::nullopt;
    return found;
}

std::optional<std::string> read_own_file(int at, const std::string& name) {
    const Fd fd(::openat(at, name.c_str(), O_RDONLY | kNoTricks));
    if (!fd || why_not_ours(fd.get()) != nullptr) return std::nullopt;
    struct stat found {};
    if (::fstat(fd.get(), &found) < 0 || found.st_size > kFileBytesMax) return std::nullopt;
    std::string text(static_cast<std::size_t>(found.st_size), '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const ssize_t got = ::read(fd.get(), text.data() + size, text.size() - size);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        size += static_cast<std::size_t>(got);
    }
    text.resize(size);
    return text;
}

void write_own_file(int at, const std::string& name, const std::string& text) {
    const std::string fresh = name + ".new";
    if (!remove_tree_at(at, fresh))
        throw std::system_error(errno, std::generic_category(), "cannot remove " + fresh);
    const Fd fd(::openat(at, fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd || !write_all(fd.get(), text) || ::renameat(at, fresh.c_str(), at, name.c_str()) < 0)
        throw std::system_error(errno, std::generic_category(), "cannot write " + fresh);
}

tl::expected<Fd, std::string> open_own_log(int at, const std::string& name,
                                           const std::filesystem::path& shown) {
    Fd fd(::openat(at, name.c_str(), O_RDWR | O_CREAT | O_APPEND | kNoTricks, 0600));
    const char* fault =
        !fd ? (errno == ELOOP ? "it is a symbolic link" : std::strerror(errno)) : why_not_ours(fd.get());
    if (fault == nullptr && ::fchmod(fd.get(), 0600) < 0) fault = std::strerror(errno);
    if (fault != nullptr)
        return tl::unexpected(fmt::format("{} is not used as a log: {}", shown.string(), fault));
    return fd;
}

// Called for folders of sockets and unfinished databases, a few levels deep.
// NOLINTNEXTLINE(misc-no-recursion)
bool remove_tree_at(int at, const std::string& name) {
    if (::unlinkat(at, name.c_str(), 0) == 0 || errno == ENOENT) return true;
    const Fd directory(::openat(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) return false;
    for (const std::string& entry : names_in(directory.get())) {
        if (!remove_tree_at(directory.get(), entry)) return false;
    }
    return ::unlinkat(at, name.c_str(), AT_REMOVEDIR) == 0;
}

}  // namespace tasker::cli
