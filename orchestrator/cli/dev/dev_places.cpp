#include "orchestrator/cli/dev/dev_places.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "orchestrator/cli/dev/private_postgres.hpp"

namespace tasker::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPlacesFile = "places.json";
constexpr const char* kDataName = "postgres";
constexpr const char* kRunName = "run";
constexpr const char* kServerSocket = ".s.PGSQL.5432";
constexpr const char* kLongestSocketName = "pg/.s.PGSQL.5432.lock";
// Two patterns, so that nothing that is thrown away can have the name of data.
constexpr std::string_view kDataPattern = "tasker-dev-XXXXXX";
constexpr std::string_view kRunPattern = "tasker-run-XXXXXX";
// Not /tmp: data should survive a restart of the machine.
constexpr const char* kDataParent = "/var/tmp";
// PostgreSQL cuts longer names off (MAXPGPATH is 1024, and it adds names of its files).
constexpr std::size_t kDataPathMax = 900;

struct Record {
    std::string data_dir;  // only when it is elsewhere
    std::string data_made;
    std::string run_dir;  // only when it is elsewhere
};

std::string text_of(const nlohmann::json& record, const char* key) {
    const auto found = record.find(key);
    return found != record.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Record read_record(const DevFolder& folder) {
    const auto json =
        nlohmann::json::parse(read_own_file(folder.fd(), kPlacesFile).value_or(""), nullptr, false);
    if (!json.is_object()) return {};
    return {text_of(json, "data_dir"), text_of(json, "data_made"), text_of(json, "run_dir")};
}

void write_record(const DevFolder& folder, const DevPlaces& places) {
    nlohmann::json record = {{"data_made", places.data_made}};
    // A path of ours elsewhere is plain ASCII; the project's own path may be no UTF-8 at all.
    if (places.data_dir.parent_path() != folder.path()) record["data_dir"] = places.data_dir.string();
    if (places.run_dir_is_elsewhere) record["run_dir"] = places.run_dir.string();
    write_own_file(folder.fd(), kPlacesFile, record.dump(2) + "\n");
}

bool has_pattern(const std::string& name, std::string_view pattern) {
    const std::string_view prefix = pattern.substr(0, pattern.find('X'));
    return name.size() == pattern.size() && name.starts_with(prefix) &&
           std::all_of(name.begin() + static_cast<std::ptrdiff_t>(prefix.size()), name.end(),
                       [](unsigned char c) { return std::isalnum(c) != 0; });
}

fs::path runtime_directory() {
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    if (::geteuid() == 0 || runtime == nullptr || *runtime != '/') return {};
    fs::path path = fs::path(runtime).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();
    return open_own_directory(AT_FDCWD, path, path) ? path : fs::path();
}

/// Addresses are written into URLs, lists separated by commas and PostgreSQL's own settings.
bool is_plain(const fs::path& path) {
    const std::string& text = path.native();
    return std::all_of(text.begin(), text.end(), [](unsigned char c) {
        return c < 0x80 && (std::isalnum(c) != 0 || std::strchr("/._-+", c) != nullptr);
    });
}

bool fits(const fs::path& run_dir) {
    return (run_dir / kLongestSocketName).string().size() <= kSocketPathMax && is_plain(run_dir);
}

fs::path parent_for_sockets() {
    const fs::path runtime = runtime_directory();
    return !runtime.empty() && fits(runtime / kRunPattern) ? runtime : fs::path("/tmp");
}

tl::expected<fs::path, std::string> make_private_directory(const fs::path& parent, std::string_view name) {
    std::string pattern = (parent / name).string();
    if (::mkdtemp(pattern.data()) == nullptr) {
        return tl::unexpected(
            fmt::format("cannot create a directory in {}: {}", parent.string(), std::strerror(errno)));
    }
    // The server's user must pass through it to what is its own inside.
    if (::geteuid() == 0) ::chmod(pattern.c_str(), 0711);
    return fs::path(pattern);
}

/// Takes the lock of a directory elsewhere: a copied project may name the same one.
tl::expected<void, std::string> hold(DevPlaces& places, const fs::path& directory) {
    auto lock = util::FileLock::try_acquire(directory / kDevLockFile, fmt::format("pid {}", ::getpid()));
    if (!lock) return tl::unexpected(lock.error().text);
    places.locks.push_back(std::move(*lock));
    return {};
}

/// When a directory was made, to the nanosecond, or its inode where the file system does not know. Nobody who
/// writes a repository can know it, and a copy has another one.
std::string mark_of(int at, const std::string& name) {
    struct statx found {};
    if (::statx(at, name.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BTIME | STATX_INO, &found) < 0) return {};
    if ((found.stx_mask & STATX_BTIME) != 0)
        return fmt::format("{}.{:09}", found.stx_btime.tv_sec, found.stx_btime.tv_nsec);
    return fmt::format("inode {}", found.stx_ino);
}

/// Refuses data that were not made by a tasker dev here: a server runs code that its data name.
tl::expected<void, std::string> check_data(int at, const fs::path& path, const Record& record, bool adopt) {
    const auto found = status_at(at, kDataName);
    if (!found) return {};
    const auto refuse = [&](const char* fault, const char* cure) {
        return tl::unexpected(
            fmt::format("{} {}, so tasker dev starts no server on it; {}", path.string(), fault, cure));
    };
    if (S_ISLNK(found->st_mode)) return refuse("is a symbolic link", "remove it");
    if (!S_ISDIR(found->st_mode)) return refuse("is no directory", "remove it");
    const std::string user = server_user();
    const passwd* entry = user.empty() ? nullptr : ::getpwnam(user.c_str());
    if (found->st_uid != (entry != nullptr ? entry->pw_uid : ::geteuid()))
        return refuse("belongs to another user", "remove it to begin anew");
    const std::string mark = mark_of(at, kDataName);
    if (!adopt && (mark.empty() || mark != record.data_made)) {
        return refuse("was not made here (it came with a copy or a clone)",
                      "remove it to begin anew, or, if the data are yours, start once with --adopt");
    }
    return {};
}

bool is_data_elsewhere(const fs::path& path) {
    const fs::path parent = path.parent_path();
    return path.filename() == kDataName && parent.parent_path() == kDataParent &&
           has_pattern(parent.filename(), kDataPattern);
}

/// Takes the recorded data directory elsewhere. False: it is gone.
tl::expected<bool, std::string> take_data_elsewhere(const DevFolder& folder, DevPlaces& places,
                                                    const Record& record, bool adopt) {
    const fs::path data_dir = record.data_dir;
    const fs::path record_file = folder.path() / kPlacesFile;
    if (!is_data_elsewhere(data_dir)) {
        return tl::unexpected(fmt::format("{} names data in {}, where no tasker dev puts any; remove {}",
                                          record_file.string(), record.data_dir, record_file.string()));
    }
    const auto parent = open_own_directory(AT_FDCWD, data_dir.parent_path(), data_dir.parent_path());
    if (!parent && !parent.error().empty()) {
        return tl::unexpected(fmt::format("{} names data in {}, but {}; remove {}", record_file.string(),
                                          record.data_dir, parent.error(), record_file.string()));
    }
    if (!parent) return false;
    if (auto good = check_data(parent->get(), data_dir, record, adopt); !good)
        return tl::unexpected(good.error());
    if (auto held = hold(places, data_dir.parent_path()); !held) return tl::unexpected(held.error());
    places.data_dir = data_dir;
    return true;
}

tl::expected<void, std::string> choose_data_dir(const DevFolder& folder, DevPlaces& places,
                                                const Record& record, const PlacesRequest& request,
                                                const std::string& why_elsewhere) {
    places.data_made = record.data_made;
    places.data_dir = folder.path() / kDataName;
    const bool inside = status_at(folder.fd(), kDataName).has_value();
    if (!request.with_server) {
        if (!inside && is_data_elsewhere(record.data_dir)) places.data_dir = record.data_dir;
        return {};
    }
    if (inside && why_elsewhere.empty())
        return check_data(folder.fd(), places.data_dir, record, request.adopt_data);
    if (!record.data_dir.empty()) {
        const auto taken = take_data_elsewhere(folder, places, record, request.adopt_data);
        if (!taken) return tl::unexpected(taken.error());
        if (!*taken) {
            places.remarks.push_back(
                fmt::format("the data of the last time, {}, are gone; beginning anew", record.data_dir));
        }
    }
    if (places.data_dir == folder.path() / kDataName && !why_elsewhere.empty()) {
        auto parent = make_private_directory(kDataParent, kDataPattern);
        if (!parent) return tl::unexpected(parent.error());
        if (auto held = hold(places, *parent); !held) return tl::unexpected(held.error());
        places.data_dir = *parent / kDataName;
    }
    if (places.data_dir != folder.path() / kDataName) {
        places.remarks.push_back(fmt::format("data are in {} ({})", places.data_dir.string(),
                                             why_elsewhere.empty() ? "as the last time" : why_elsewhere));
    }
    return {};
}

/// Removes a run directory elsewhere that a killed one left behind. Whatever else the record names stays.
void remove_left_behind(const fs::path& run_dir, DevPlaces& places) {
    const fs::path parent = run_dir.parent_path();
    const bool temporary = parent == "/tmp" || (!parent.empty() && parent == runtime_directory());
    if (!temporary || !has_pattern(run_dir.filename(), kRunPattern)) {
        places.remarks.push_back(
            fmt::format("{} names {}, which is no place of tasker dev; it was left alone", kPlacesFile,
                        run_dir.string()));
        return;
    }
    const Fd above(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!above) return;
    const auto found = open_own_directory(above.get(), run_dir.filename(), run_dir);
    // In use by the project that this one was copied from.
    if (!found || util::FileLock::is_held_at(found->get(), kDevLockFile)) return;
    remove_tree_at(above.get(), run_dir.filename());
}

tl::expected<void, std::string> choose_run_dir(const DevFolder& folder, DevPlaces& places,
                                               const Record& record, bool reachable) {
    if (!record.run_dir.empty()) remove_left_behind(record.run_dir, places);
    places.run_dir = folder.path() / kRunName;
    if (fits(places.run_dir) && reachable) {
        if (!remove_tree_at(folder.fd(), kRunName) ||
            ::mkdirat(folder.fd(), kRunName, ::geteuid() == 0 ? 0711 : 0700) < 0) {
            return tl::unexpected(
                fmt::format("cannot make {} anew: {}", places.run_dir.string(), std::strerror(errno)));
        }
        // Whatever the umask takes away.
        if (::geteuid() == 0) ::fchmodat(folder.fd(), kRunName, 0711, 0);
        return {};
    }
    const std::string reason = !reachable ? "the user postgres cannot enter " + folder.path().string()
                               : is_plain(places.run_dir)
                                   ? "the path of " + folder.path().string() + " is too long"
                                   : "the path of " + folder.path().string() + " cannot be an address";
    auto elsewhere = make_private_directory(parent_for_sockets(), kRunPattern);
    if (!elsewhere) return tl::unexpected(elsewhere.error());
    places.run_dir = *elsewhere;
    places.run_dir_is_elsewhere = true;
    places.remarks.push_back(fmt::format("sockets are in {} ({})", places.run_dir.string(), reason));
    return hold(places, places.run_dir);
}

/// The host parameter of a URL, as PrivatePostgres::url writes it, when it is a directory.
std::optional<fs::path> socket_dir_in(const std::string& database_url) {
    constexpr std::string_view kHost = "?host=";
    const auto found = database_url.find(kHost);
    if (found == std::string::npos) return std::nullopt;
    const std::string host = database_url.substr(found + kHost.size());
    std::string path;
    for (std::size_t at = 0; at < host.size() && host[at] != '&'; ++at) {
        unsigned value = 0;
        const char* code = host.data() + at + 1;
        if (host[at] == '%' && at + 2 < host.size() &&
            std::from_chars(code, code + 2, value, 16).ptr == code + 2) {
            path += static_cast<char>(value);
            at += 2;
        } else {
            path += host[at];
        }
    }
    if (!path.starts_with('/')) return std::nullopt;
    return fs::path(path);
}

}  // namespace

tl::expected<DevPlaces, std::string> prepare_places(const DevFolder& folder, const PlacesRequest& request) {
    DevPlaces places;
    const Record record = read_record(folder);
    const bool reachable = !request.with_server || server_can_enter(folder.path());
    const bool short_enough = (folder.path() / kDataName).string().size() <= kDataPathMax;
    const std::string why_elsewhere = !reachable ? "the user postgres cannot enter " + folder.path().string()
                                      : !short_enough
                                          ? std::string("the path of .tasker is too long for PostgreSQL")
                                          : std::string();
    if (auto chosen = choose_data_dir(folder, places, record, request, why_elsewhere); !chosen)
        return tl::unexpected(chosen.error());
    if (auto chosen = choose_run_dir(folder, places, record, reachable); !chosen)
        return tl::unexpected(chosen.error());
    if (request.adopt_data) record_data_made(folder, places, places.data_dir);
    write_record(folder, places);
    if (request.with_server) {
        if (auto made = make_server_directory(places.server_socket_dir()); !made)
            return tl::unexpected(made.error());
    }
    return places;
}

void record_data_made(const DevFolder& folder, DevPlaces& places, const fs::path& made) {
    places.data_made = mark_of(AT_FDCWD, made);
    write_record(folder, places);
}

void remove_run_dir(const DevFolder& folder, const DevPlaces& places) {
    // What stays is removed by the next start.
    if (!places.run_dir_is_elsewhere) {
        remove_tree_at(folder.fd(), kRunName);
        return;
    }
    const Fd above(::open(places.run_dir.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (above) remove_tree_at(above.get(), places.run_dir.filename());
}

bool is_url_of_dev(const std::string& database_url) {
    const auto folder = socket_dir_in(database_url);
    return folder && is_in_run_dir(*folder / kServerSocket);
}

bool is_url_of_stopped_dev(const std::string& database_url) {
    const auto folder = socket_dir_in(database_url);
    return folder && is_in_run_dir(*folder / kServerSocket) && !status_at(AT_FDCWD, *folder / kServerSocket);
}

bool is_in_run_dir(const fs::path& socket) {
    if (!socket.is_absolute()) return false;
    for (fs::path folder = socket.parent_path(); folder != folder.root_path();
         folder = folder.parent_path()) {
        if (has_pattern(folder.filename(), kRunPattern)) return true;
        if (folder.filename() == kRunName && (folder.parent_path().filename() == kDevDirectory ||
                                              status_at(AT_FDCWD, folder.parent_path() / kPlacesFile)))
            return true;
    }
    return false;
}

}  // namespace tasker::cli
