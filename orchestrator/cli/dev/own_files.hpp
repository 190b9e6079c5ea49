// Files in folders that others may have filled: a cloned repository, another user, an earlier attack. Nothing
// here follows a link in the last part of a name, and all names are meant from an open directory.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace tasker::cli {

/// An open descriptor, closed when it goes.
class Fd {
  public:
    Fd() = default;
    explicit Fd(int number) : number_(number) {}
    ~Fd();
    Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        std::swap(number_, other.number_);
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;

    int get() const { return number_; }
    explicit operator bool() const { return number_ >= 0; }

  private:
    int number_ = -1;
};

/// Opens a directory that is no link and belongs to us. Otherwise one sentence that names `shown`; it is
/// empty when there is no such directory.
tl::expected<Fd, std::string> open_own_directory(int at, const std::string& name,
                                                 const std::filesystem::path& shown);

/// The status of `name` itself, never of what it links to; nothing when it does not exist.
std::optional<struct stat> status_at(int at, const std::string& name);

/// The text of a plain file of ours with at most 1 MiB; nothing when it is missing or anything else.
std::optional<std::string> read_own_file(int at, const std::string& name);

/// Writes all of `text`; false, with errno, when that fails.
bool write_all(int fd, std::string_view text);

/// Writes `name` at once and whole, with mode 0600, by a new file beside it. Links under either name are
/// replaced, not followed. Throws std::system_error.
void write_own_file(int at, const std::string& name, const std::string& text);

/// Opens a log for appending and reading, made with mode 0600. One sentence when something else, a link
/// included, has its name.
tl::expected<Fd, std::string> open_own_log(int at, const std::string& name,
                                           const std::filesystem::path& shown);

/// Removes `name` and, if it is a directory, all in it; links are removed, what they point to is not touched.
/// False when something is left.
bool remove_tree_at(int at, const std::string& name);

}  // namespace tasker::cli
