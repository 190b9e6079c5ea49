#include "orchestrator/cli/dev_places.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "orchestrator/cli/private_postgres.hpp"

namespace tasker::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPlacesFile = "places.json";
constexpr const char* kLongestSocketName = "pg/.s.PGSQL.5432.lock";

tl::expected<fs::path, std::string> make_private_directory(const fs::path& parent) {
    std::string pattern = (parent / "tasker-dev-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
        return tl::unexpected(
            fmt::format("cannot create a directory in {}: {}", parent.string(), std::strerror(errno)));
    }
    // The server's user must pass through it to what is its own inside.
    if (::geteuid() == 0) ::chmod(pattern.c_str(), 0711);
    return fs::path(pattern);
}

/// A recorded directory counts only if it is still ours: others can write in /tmp.
bool is_ours(const fs::path& path) {
    struct stat found {};
    return ::lstat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode) && found.st_uid == ::geteuid();
}

fs::path parent_for_sockets() {
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    if (::geteuid() != 0 && runtime != nullptr && is_ours(runtime) &&
        (fs::path(runtime) / "tasker-dev-XXXXXX" / kLongestSocketName).string().size() <= kSocketPathMax) {
        return runtime;
    }
    return "/tmp";
}

nlohmann::json read_record(const fs::path& directory) {
    std::ifstream stream(directory / kPlacesFile);
    auto record = nlohmann::json::parse(stream, nullptr, false);
    return record.is_object() ? record : nlohmann::json::object();
}

void write_record(const DevPlaces& places) {
    const fs::path fresh = places.directory / "places.json.new";
    std::ofstream stream(fresh, std::ios::trunc);
    stream << nlohmann::json{{"data_dir", places.data_dir}, {"run_dir", places.run_dir}}.dump(2) << '\n';
    stream.flush();
    if (!stream) throw std::system_error(errno, std::generic_category(), "cannot write " + fresh.string());
    fs::rename(fresh, places.directory / kPlacesFile);
}

tl::expected<void, std::string> choose_data_dir(DevPlaces& places, const std::string& recorded,
                                                bool reachable) {
    const fs::path inside = places.directory / "postgres";
    if (fs::exists(inside / "PG_VERSION") || recorded.empty() || recorded == inside) {
        places.data_dir = inside;
    } else {
        places.data_dir = recorded;
        if (!is_ours(places.data_dir.parent_path())) {
            places.remarks.push_back(
                fmt::format("the data of the last time, {}, are gone; beginning anew", recorded));
            places.data_dir = inside;
        }
    }
    if (places.data_dir == inside && !reachable) {
        // Not /tmp: data should survive a restart of the machine.
        auto parent = make_private_directory("/var/tmp");
        if (!parent) return tl::unexpected(parent.error());
        places.data_dir = *parent / "postgres";
    }
    if (places.data_dir != inside) {
        places.remarks.push_back(fmt::format("data are in {} (the user postgres cannot enter {})",
                                             places.data_dir.string(), places.directory.string()));
    }
    return {};
}

tl::expected<void, std::string> choose_run_dir(DevPlaces& places, const std::string& recorded,
                                               bool reachable) {
    if (!recorded.empty() && fs::path(recorded).parent_path() != places.directory && is_ours(recorded)) {
        fs::remove_all(recorded);  // left behind by one that was killed
    }
    places.run_dir = places.directory / "run";
    const bool fits = (places.run_dir / kLongestSocketName).string().size() <= kSocketPathMax;
    if (!fits || !reachable) {
        auto elsewhere = make_private_directory(parent_for_sockets());
        if (!elsewhere) return tl::unexpected(elsewhere.error());
        places.run_dir = *elsewhere;
        places.remarks.push_back(
            fmt::format("sockets are in {} ({})", places.run_dir.string(),
                        fits ? "the user postgres cannot enter " + places.directory.string()
                             : "the path of " + places.directory.string() + " is too long"));
    } else {
        fs::remove_all(places.run_dir);
        fs::create_directory(places.run_dir);
        ::chmod(places.run_dir.c_str(), ::geteuid() == 0 ? 0711 : 0700);
    }
    return {};
}

}  // namespace

tl::expected<fs::path, std::string> make_dev_directory(const fs::path& directory) {
    const fs::path absolute = fs::absolute(directory).lexically_normal();
    const fs::path path = absolute.has_filename() ? absolute : absolute.parent_path();
    std::error_code problem;
    fs::create_directories(path, problem);
    if (problem) return tl::unexpected(fmt::format("cannot create {}: {}", path.string(), problem.message()));
    const fs::path canonical = fs::canonical(path);
    if (!fs::exists(canonical / ".gitignore")) std::ofstream(canonical / ".gitignore") << "*\n";
    return canonical;
}

tl::expected<DevPlaces, std::string> prepare_places(const fs::path& directory, bool with_server) {
    DevPlaces places{directory, {}, {}, {}};
    const auto record = read_record(directory);
    const bool reachable = !with_server || server_can_enter(directory);
    if (auto chosen = choose_data_dir(places, record.value("data_dir", ""), reachable); !chosen) {
        return tl::unexpected(chosen.error());
    }
    if (auto chosen = choose_run_dir(places, record.value("run_dir", ""), reachable); !chosen) {
        return tl::unexpected(chosen.error());
    }
    write_record(places);
    if (with_server) {
        if (auto made = make_server_directory(places.server_socket_dir()); !made)
            return tl::unexpected(made.error());
    }
    return places;
}

void remove_run_dir(const DevPlaces& places) {
    std::error_code ignored;  // what stays is removed by the next start
    fs::remove_all(places.run_dir, ignored);
}

}  // namespace tasker::cli
