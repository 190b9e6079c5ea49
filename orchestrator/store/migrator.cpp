#include "orchestrator/store/migrator.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <map>
#include <utility>

namespace tasker::store {
namespace {

// Any number will do, as long as nobody else uses it: "tasker" in ASCII.
constexpr std::int64_t kMigratorLock = 0x7461736b6572;
constexpr const char* kLockTimeout = "60s";

struct AppliedRow {
    std::string name;
    std::string checksum;
    std::string applied_at;
};
using Applied = std::map<int, AppliedRow>;

bool table_exists(Connection& connection) {
    return !connection.query("SELECT to_regclass('tasker_schema_migrations')")[0][0].is_null();
}

Applied read_applied(Connection& connection) {
    Applied applied;
    if (!table_exists(connection)) return applied;
    const Result rows = connection.query(
        "SELECT version, name, checksum, "
        "to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS applied_at "
        "FROM tasker_schema_migrations ORDER BY version");
    for (const Row& row : rows) {
        applied[row["version"].as<int>()] = {row["name"].c_str(), row["checksum"].c_str(),
                                             row["applied_at"].c_str()};
    }
    return applied;
}

std::vector<MigrationStatus> compare(const std::vector<Migration>& migrations, const Applied& applied) {
    std::map<int, MigrationStatus> lines;
    for (const auto& [version, row] : applied) {
        lines[version] = {version, row.name, MigrationState::unknown, row.applied_at};
    }
    for (const Migration& migration : migrations) {
        const auto found = applied.find(migration.version);
        MigrationStatus& line = lines[migration.version];
        if (found == applied.end()) {
            line = {migration.version, migration.name, MigrationState::pending, ""};
        } else {
            const bool same = found->second.checksum == migration.checksum();
            line.state = same ? MigrationState::applied : MigrationState::changed;
        }
    }
    std::vector<MigrationStatus> list;
    for (auto& [version, line] : lines) list.push_back(std::move(line));
    return list;
}

std::string title(const MigrationStatus& line) {
    return fmt::format("{:03}_{}", line.version, line.name);
}

MigrationProblem newer_problem(int database_version, int known_version) {
    return {fmt::format("the database has schema version {}, this program knows only {}", database_version,
                        known_version),
            "use the newer program this database was migrated with"};
}

/// What forbids to migrate at all.
std::optional<MigrationProblem> find_obstacle(const std::vector<MigrationStatus>& lines, int known_version) {
    for (const MigrationStatus& line : lines) {
        if (line.state == MigrationState::unknown) return newer_problem(lines.back().version, known_version);
        if (line.state == MigrationState::changed) {
            return MigrationProblem{
                fmt::format("migration {} was applied at {} from other SQL than this program holds",
                            title(line), line.applied_at),
                "a migration that was applied must never be edited: restore its file and put the change into "
                "a new one "
                "(on a database without worth, drop it and begin anew)"};
        }
    }
    return std::nullopt;
}

}  // namespace

std::string Migration::title() const {
    return fmt::format("{:03}_{}", version, name);
}

std::string Migration::checksum() const {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    if (EVP_Digest(up.data(), up.size(), digest, &size, EVP_sha256(), nullptr) != 1) {
        throw std::runtime_error("SHA-256 is not available in this OpenSSL");
    }
    return fmt::format("{:02x}", fmt::join(digest, digest + size, ""));
}

const std::vector<Migration>& embedded_migrations() {
    static const std::vector<Migration> migrations = read_embedded_migrations();
    return migrations;
}

int required_version() {
    return embedded_migrations().empty() ? 0 : embedded_migrations().back().version;
}

const char* to_string(MigrationState state) {
    switch (state) {
        case MigrationState::applied:
            return "applied";
        case MigrationState::pending:
            return "pending";
        case MigrationState::changed:
            return "changed";
        case MigrationState::unknown:
            return "unknown";
    }
    return "unknown";
}

/// Gives the advisory lock back, also when a migration throws. A lost connection has given it back already.
class Migrator::Lock {
  public:
    explicit Lock(Connection& connection) : connection_(connection) {}
    ~Lock() {
        try {
            if (connection_.is_open()) connection_.query("SELECT pg_advisory_unlock($1)", kMigratorLock);
        } catch (const DatabaseError&) {
            // The session is gone, and the lock with it.
            return;
        }
    }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

  private:
    Connection& connection_;
};

Migrator::Migrator(Connection& connection, std::vector<Migration> migrations)
    : connection_(connection), migrations_(std::move(migrations)) {}

std::optional<MigrationProblem> Migrator::take_lock() {
    try {
        connection_.execute(fmt::format("SET lock_timeout = '{}'", kLockTimeout));
        connection_.query("SELECT pg_advisory_lock($1)", kMigratorLock);
        connection_.execute("RESET lock_timeout");
    } catch (const DatabaseError& error) {
        if (error.sqlstate() != "55P03") throw;
        return MigrationProblem{
            fmt::format("another migration has been running for {}", kLockTimeout),
            "wait for it, or look for it in pg_locks (locktype advisory) and end that session"};
    }
    return std::nullopt;
}

tl::expected<MigrationsDone, MigrationProblem> Migrator::up(std::optional<int> target) {
    const int known = migrations_.empty() ? 0 : migrations_.back().version;
    if (target && (*target < 1 || *target > known)) {
        return tl::unexpected(MigrationProblem{
            fmt::format("there is no migration {}; this program knows 1 to {}", *target, known), ""});
    }
    if (auto problem = take_lock()) return tl::unexpected(*problem);
    const Lock lock(connection_);
    // Read under the lock: what another migrator has just done is done.
    const auto lines = status();
    if (auto obstacle = find_obstacle(lines, known)) return tl::unexpected(*obstacle);
    connection_.execute(
        "CREATE TABLE IF NOT EXISTS tasker_schema_migrations ("
        "version int PRIMARY KEY, name varchar(128) NOT NULL, checksum char(64) NOT NULL, "
        "applied_at timestamptz NOT NULL DEFAULT clock_timestamp())");
    MigrationsDone done;
    for (const Migration& migration : migrations_) {
        if (migration.version > target.value_or(known)) break;
        const auto line = std::find_if(lines.begin(), lines.end(), [&](const MigrationStatus& candidate) {
            return candidate.version == migration.version;
        });
        if (line->state == MigrationState::applied) continue;
        if (auto problem = apply(migration, true)) return tl::unexpected(*problem);
        done.push_back(migration.title());
    }
    return done;
}

tl::expected<MigrationsDone, MigrationProblem> Migrator::down(int target) {
    if (target < 0) return tl::unexpected(MigrationProblem{"a schema version cannot be negative", ""});
    if (auto problem = take_lock()) return tl::unexpected(*problem);
    const Lock lock(connection_);
    const auto lines = status();
    const int known = migrations_.empty() ? 0 : migrations_.back().version;
    if (auto obstacle = find_obstacle(lines, known)) return tl::unexpected(*obstacle);
    MigrationsDone done;
    for (auto migration = migrations_.rbegin(); migration != migrations_.rend(); ++migration) {
        if (migration->version <= target) break;
        const auto line = std::find_if(lines.begin(), lines.end(), [&](const MigrationStatus& candidate) {
            return candidate.version == migration->version;
        });
        if (line->state == MigrationState::pending) continue;
        if (auto problem = apply(*migration, false)) return tl::unexpected(*problem);
        done.push_back(migration->title());
    }
    return done;
}

std::optional<MigrationProblem> Migrator::apply(const Migration& migration, bool upwards) {
    try {
        Transaction transaction = connection_.begin();
        if (upwards) {
            transaction.query(
                "INSERT INTO tasker_schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                migration.version, migration.name, migration.checksum());
        } else {
            transaction.query("DELETE FROM tasker_schema_migrations WHERE version = $1", migration.version);
        }
        transaction.execute(upwards ? migration.up : migration.down);
        transaction.commit();
    } catch (const DatabaseError& error) {
        if (error.connection_is_gone()) throw;
        return MigrationProblem{fmt::format("migration {} ({}) failed and was taken back: {}",
                                            migration.title(), upwards ? "up" : "down", error.what()),
                                "nothing of it is left in the database; what was applied before it stays"};
    }
    return std::nullopt;
}

std::vector<MigrationStatus> Migrator::status() {
    return compare(migrations_, read_applied(connection_));
}

int Migrator::current_version() {
    const Applied applied = read_applied(connection_);
    return applied.empty() ? 0 : applied.rbegin()->first;
}

SchemaCheck check_schema(Connection& connection, const std::vector<Migration>& migrations) {
    const Applied applied = read_applied(connection);
    SchemaCheck check;
    check.database_version = applied.empty() ? 0 : applied.rbegin()->first;
    check.required_version = migrations.empty() ? 0 : migrations.back().version;
    const std::string where = connection.description();
    const auto verdict = [&](SchemaVerdict value, std::string message) {
        check.verdict = value;
        check.message = std::move(message);
        return check;
    };
    const auto lines = compare(migrations, applied);
    if (auto obstacle = find_obstacle(lines, check.required_version)) {
        const bool newer = check.database_version > check.required_version;
        return verdict(newer ? SchemaVerdict::newer : SchemaVerdict::changed,
                       fmt::format("{}: {}; {} (see: tasker migrate status)", where, obstacle->message,
                                   obstacle->advice));
    }
    if (applied.empty() && check.required_version > 0) {
        return verdict(SchemaVerdict::missing,
                       fmt::format("{} has no Tasker schema; create it with: tasker migrate up", where));
    }
    for (const MigrationStatus& line : lines) {
        if (line.state != MigrationState::pending) continue;
        return verdict(SchemaVerdict::older,
                       fmt::format("{} has schema version {}, this program needs {} ({} is "
                                   "missing); bring it up to date with: tasker migrate up",
                                   where, check.database_version, check.required_version, title(line)));
    }
    return check;
}

}  // namespace tasker::store
