#include "orchestrator/cli/dev/private_postgres.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <optional>

#include "orchestrator/postgres/connection.hpp"
#include "orchestrator/postgres/databases.hpp"

namespace tasker::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds, std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr const char* kSuperuser = "postgres";
constexpr auto kInitdbLimit = seconds(120);
// Recovery after a crash may have to replay a lot; the server answers "starting up" all the while.
constexpr auto kStartLimit = seconds(300);
constexpr auto kPollInterval = milliseconds(10);

/// All installed versions, newest first: PGBIN from the environment, Debian's folders, then PATH (empty
/// path).
std::vector<fs::path> server_folders() {
    if (const char* chosen = std::getenv("TASKER_PG_BIN"); chosen != nullptr && *chosen != '\0')
        return {chosen};
    std::vector<std::pair<int, fs::path>> found;
    std::error_code absent;
    for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", absent)) {
        if (!fs::exists(entry.path() / "bin/postgres")) continue;
        found.emplace_back(std::atoi(entry.path().filename().c_str()), entry.path() / "bin");
    }
    std::sort(found.rbegin(), found.rend());
    std::vector<fs::path> folders;
    for (auto& [version, folder] : found) folders.push_back(folder);
    return folders;
}

/// The folder of `initdb` and `postgres` that fits `data_dir`: any for a new one, else its own major version.
tl::expected<fs::path, std::string> find_server(const fs::path& data_dir) {
    const auto folders = server_folders();
    if (folders.empty()) {
        return tl::unexpected(
            std::string("PostgreSQL is not installed (no /usr/lib/postgresql/*/bin/postgres); install it "
                        "with bin/setup or "
                        "`apt-get install postgresql-15`, or say where it is with TASKER_PG_BIN"));
    }
    std::string version;
    std::ifstream(data_dir / "PG_VERSION") >> version;
    if (version.empty() || std::getenv("TASKER_PG_BIN") != nullptr) return folders.front();
    for (const fs::path& folder : folders) {
        if (folder.parent_path().filename() == version) return folder;
    }
    return tl::unexpected(
        fmt::format("the data in {} belong to PostgreSQL {}, which is not installed; install postgresql-{}, "
                    "or remove that "
                    "directory to begin anew",
                    data_dir.string(), version, version));
}

std::string last_lines(const fs::path& file, std::size_t count) {
    std::ifstream stream(file);
    std::deque<std::string> lines;
    for (std::string line; std::getline(stream, line);) {
        lines.push_back("    " + line);
        if (lines.size() > count) lines.pop_front();
    }
    return fmt::format("{}", fmt::join(lines, "\n"));
}

std::string with_log(const std::string& problem, const fs::path& log_file) {
    return fmt::format("{}; its log {} ends with:\n{}", problem, log_file.string(), last_lines(log_file, 8));
}

bool is_cancelled(const PrivatePostgresPlan& plan) {
    return plan.cancelled && plan.cancelled();
}

void write_to_log(util::SpawnOptions& options, const PrivatePostgresPlan& plan) {
    if (plan.log_fd >= 0) {
        options.output_fd = plan.log_fd;
    } else {
        options.output_file = plan.log_file;
    }
}

tl::expected<void, std::string> initialise(const PrivatePostgresPlan& plan, const fs::path& server) {
    // Beside the real place first: an initdb that is killed leaves nothing that looks like data.
    fs::path fresh = plan.data_dir;
    fresh += ".new";
    fs::remove_all(fresh);
    if (auto made = make_server_directory(fresh); !made) return made;
    util::SpawnOptions options;
    options.arguments = {
        server / "initdb",  "-D", fresh, "-U", kSuperuser, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
        "--no-instructions"};
    if (!plan.durable_initdb) options.arguments.emplace_back("--no-sync");
    options.user = server_user();
    options.working_directory = "/";
    write_to_log(options, plan);
    auto process = util::Process::spawn(options);
    if (!process) return tl::unexpected(process.error());
    const auto deadline = Clock::now() + kInitdbLimit;
    std::optional<util::ExitStatus> status;
    while (!(status = process->wait_for(milliseconds(50)))) {
        if (is_cancelled(plan)) return tl::unexpected(std::string("interrupted"));
        if (Clock::now() > deadline) return tl::unexpected(with_log("initdb does not end", plan.log_file));
    }
    if (!status->success()) return tl::unexpected(with_log("initdb " + status->text(), plan.log_file));
    if (plan.on_created) plan.on_created(fresh);
    fs::rename(fresh, plan.data_dir);
    return {};
}

std::string percent_encoded(const std::string& text) {
    std::string out;
    for (const char character : text) {
        const auto byte = static_cast<unsigned char>(character);
        if (std::isalnum(byte) != 0 || character == '/' || character == '-' || character == '_' ||
            character == '.') {
            out += character;
        } else {
            out += fmt::format("%{:02X}", byte);
        }
    }
    return out;
}

/// Waits until the server takes connections. Its readiness has no other signal than answering.
tl::expected<void, std::string> wait_until_ready(const PrivatePostgresPlan& plan, util::Process& process,
                                                 const std::string& url) {
    const auto deadline = Clock::now() + kStartLimit;
    while (true) {
        try {
            const postgres::Connection probe(url, {.application_name = "tasker start"});
            return {};
        } catch (const postgres::CannotConnect& error) {
            if (error.kind() == postgres::DbFailure::other) return tl::unexpected(std::string(error.what()));
        }
        if (const auto ended = process.wait_for(kPollInterval)) {
            return tl::unexpected(with_log("PostgreSQL did not start: it " + ended->text(), plan.log_file));
        }
        if (is_cancelled(plan)) return tl::unexpected(std::string("interrupted"));
        if (Clock::now() > deadline) {
            return tl::unexpected(with_log("PostgreSQL does not take connections", plan.log_file));
        }
    }
}

/// The pid in postmaster.pid if that process is a server of this very directory.
std::optional<pid_t> running_server(const fs::path& data_dir) {
    pid_t pid = 0;
    std::ifstream(data_dir / "postmaster.pid") >> pid;
    if (pid <= 1) return std::nullopt;
    std::error_code gone;
    // A server works in its data directory, so a reused pid is not mistaken for it.
    const fs::path folder = fs::read_symlink(fmt::format("/proc/{}/cwd", pid), gone);
    if (gone || !fs::equivalent(folder, data_dir, gone) || gone) return std::nullopt;
    return pid;
}

}  // namespace

std::string server_user() {
    return ::geteuid() == 0 ? kSuperuser : "";
}

tl::expected<void, std::string> make_server_directory(const fs::path& path) {
    const auto problem = [&](const char* what) {
        return tl::unexpected(fmt::format("cannot {} {}: {}", what, path.string(), std::strerror(errno)));
    };
    if (::mkdir(path.c_str(), 0700) < 0 && errno != EEXIST) return problem("create");
    struct stat found {};
    if (::lstat(path.c_str(), &found) < 0) return problem("look at");
    if (!S_ISDIR(found.st_mode)) return tl::unexpected(path.string() + " is not a directory");
    const std::string user = server_user();
    if (!user.empty()) {
        const passwd* entry = ::getpwnam(user.c_str());
        if (entry == nullptr) {
            return tl::unexpected(
                std::string("the user postgres does not exist; install postgresql-15 (bin/setup does)"));
        }
        if (::chown(path.c_str(), entry->pw_uid, entry->pw_gid) < 0) return problem("give away");
    }
    if (::chmod(path.c_str(), 0700) < 0) return problem("protect");
    return {};
}

bool server_can_enter(const fs::path& path) {
    util::SpawnOptions options;
    options.arguments = {"/bin/true"};
    options.user = server_user();
    options.working_directory = path;
    const auto status = util::run_to_end(options, seconds(10));
    return status && status->success();
}

tl::expected<bool, std::string> stop_stale_server(const fs::path& data_dir, milliseconds limit) {
    for (const int signal : {SIGINT, SIGQUIT}) {
        const auto pid = running_server(data_dir);
        if (!pid) return true;
        ::kill(*pid, signal);
        if (util::wait_for_foreign_end(*pid, limit)) return true;
    }
    const auto pid = running_server(data_dir);
    if (!pid) return true;
    return tl::unexpected(
        fmt::format("an earlier PostgreSQL (pid {}) still uses {} and does not stop; end it by hand", *pid,
                    data_dir.string()));
}

tl::expected<PrivatePostgres, std::string> PrivatePostgres::start(PrivatePostgresPlan plan) {
    const auto server = find_server(plan.data_dir);
    if (!server) return tl::unexpected(server.error());
    if (!fs::exists(plan.data_dir / "PG_VERSION")) {
        if (auto made = initialise(plan, *server); !made) return tl::unexpected(made.error());
    }
    util::SpawnOptions options;
    options.arguments = {*server / "postgres", "-D", plan.data_dir, "-k", plan.socket_dir, "-h", ""};
    // Durable by default, whatever the data directory's own configuration says.
    for (const char* setting :
         {"port=5432", "unix_socket_permissions=0700", "fsync=on", "synchronous_commit=on",
          "shared_buffers=256MB", "logging_collector=off", "log_destination=stderr", "timezone=UTC",
          "log_timezone=UTC", "lc_messages=C"}) {
        options.arguments.insert(options.arguments.end(), {"-c", setting});
    }
    for (const std::string& setting : plan.settings) {
        options.arguments.insert(options.arguments.end(), {"-c", setting});
    }
    options.user = server_user();
    options.working_directory = "/";
    write_to_log(options, plan);
    options.parent_death_signal = SIGINT;  // fast shutdown
    auto process = util::Process::spawn(options);
    if (!process) return tl::unexpected(process.error());
    PrivatePostgres started(std::move(plan), std::move(*process));
    const auto ready = wait_until_ready(started.plan_, started.process_, started.url("postgres"));
    if (!ready) return tl::unexpected(ready.error());
    return started;
}

PrivatePostgres::~PrivatePostgres() {
    if (process_.pid() > 0 && !stopped_) stop(seconds(10));
}

std::string PrivatePostgres::url(const std::string& database) const {
    // The user stands before the @ so that generic URL parsers, too, keep the empty host.
    return fmt::format("postgresql://{}@/{}?host={}&port=5432", kSuperuser, percent_encoded(database),
                       percent_encoded(plan_.socket_dir.string()));
}

void PrivatePostgres::ensure_database(const std::string& database) const {
    postgres::Connection connection(url("postgres"), {.application_name = "tasker start"});
    postgres::ensure_database(connection, database);
}

std::string PrivatePostgres::with_log(const std::string& problem) const {
    return cli::with_log(problem, plan_.log_file);
}

util::ExitStatus PrivatePostgres::stop(milliseconds limit) {
    stopped_ = true;
    process_.signal(SIGINT);
    if (const auto status = process_.wait_for(limit)) return *status;
    return process_.terminate(SIGQUIT, seconds(5));
}

}  // namespace tasker::cli
