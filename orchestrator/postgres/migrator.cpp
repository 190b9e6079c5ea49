#include "orchestrator/postgres/migrator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "orchestrator/postgres/sql.hpp"

namespace tasker::postgres {
namespace {

// "tskM" in ASCII, the first key of the lock; the second is the schema.
constexpr std::int32_t kMigratorLock = 0x74736b4d;
constexpr const char* kLockTimeout = "60s";

struct AppliedRow {
    std::string name;
    std::string checksum;
    std::string applied_at;
};
using Applied = std::map<int, AppliedRow>;

/// Which of the migrator's own tables are there.
struct OwnTables {
    bool migrations = false;
    bool layer = false;
};

OwnTables find_own_tables(Connection& connection) {
    const Result rows = connection.execute(sql::migrations_tables);
    return {rows[0]["migrations"].as<bool>(), rows[0]["layer"].as<bool>()};
}

Applied read_applied(Connection& connection, const OwnTables& tables) {
    Applied applied;
    if (!tables.migrations) return applied;
    for (const Row& row : connection.execute(sql::migrations_applied)) {
        applied[row["version"].as<int>()] = {row["name"].c_str(), row["checksum"].c_str(),
                                             row["applied_at"].c_str()};
    }
    return applied;
}

/// Whether version `a` comes after `b`, number by number; false when one of them is not known.
bool is_newer(const std::string& a, const std::string& b) {
    const auto numbers = [](const std::string& version) {
        std::vector<int> list;
        for (const char character : version) {
            if (list.empty() || character == '.') list.push_back(0);
            if (character == '.') continue;
            if (character < '0' || character > '9') break;
            list.back() = list.back() * 10 + (character - '0');
        }
        return list;
    };
    return !a.empty() && !b.empty() && numbers(a) > numbers(b);
}

int count_different_files(Connection& connection, const Layer& layer) {
    std::map<std::string, std::string> in_force;
    for (const Row& row : connection.execute(sql::layer_files)) in_force[row[0].c_str()] = row[1].c_str();
    int different = 0;
    for (const LayerFile& file : layer.files) {
        const auto found = in_force.find(file.path);
        if (found == in_force.end()) {
            ++different;
            continue;
        }
        if (found->second != file.checksum()) ++different;
        in_force.erase(found);
    }
    return different + static_cast<int>(in_force.size());
}

LayerStatus read_layer(Connection& connection, const OwnTables& tables, const Layer& layer) {
    LayerStatus status;
    status.files = static_cast<int>(layer.files.size());
    status.files_differ = status.files;
    std::string checksum;
    std::string program;
    if (tables.layer) {
        const Row row = connection.execute(sql::layer_state)[0];
        status.objects = row["objects"].as<int>();
        status.objects_differ = row["objects_differ"].as<int>();
        if (!row["checksum"].is_null()) checksum = row["checksum"].c_str();
        if (!row["program"].is_null()) program = row["program"].c_str();
        if (!row["applied_at"].is_null()) status.applied_at = row["applied_at"].c_str();
    }
    if (checksum.empty() ? layer.files.empty() : checksum == layer.checksum()) {
        status.state = status.objects_differ == 0 ? LayerState::applied : LayerState::changed;
        status.files_differ = 0;
    } else if (!checksum.empty()) {
        status.state = LayerState::changed;
        status.files_differ = count_different_files(connection, layer);
        if (is_newer(program, layer.version)) status.newer_program = program;
    }
    return status;
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

std::string layer_title(const LayerStatus& layer) {
    return fmt::format("functions ({} objects)", layer.objects);
}

MigrationProblem newer_problem(int database_version, int known_version) {
    return {fmt::format("the database has schema version {}, this program knows only {}", database_version,
                        known_version),
            "use the newer program this database was migrated with"};
}

MigrationProblem newer_layer_problem(const LayerStatus& layer, const std::string& own) {
    return {fmt::format("the functions and views come from tasker {}, this program is tasker {}",
                        layer.newer_program, own),
            "use the newer program, which this database was migrated with"};
}

/// What in the numbered files forbids to migrate at all.
std::optional<MigrationProblem> find_file_obstacle(const std::vector<MigrationStatus>& lines,
                                                   int known_version) {
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
    return sha256(up);
}

const std::vector<Migration>& embedded_migrations() {
    static const std::vector<Migration> migrations = read_embedded_migrations();
    return migrations;
}

const Schema& embedded_schema() {
    static const Schema schema{embedded_migrations(), embedded_layer()};
    return schema;
}

int required_version() {
    return embedded_schema().version();
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

const char* to_string(LayerState state) {
    switch (state) {
        case LayerState::applied:
            return "applied";
        case LayerState::pending:
            return "pending";
        case LayerState::changed:
            return "changed";
    }
    return "pending";
}

/// Gives the advisory lock back, also when a migration throws. A lost connection has given it back already.
class Migrator::Lock {
  public:
    explicit Lock(Connection& connection) : connection_(connection) {}
    ~Lock() {
        try {
            if (connection_.is_open()) connection_.query(sql::migrations_unlock, kMigratorLock);
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

Migrator::Migrator(Connection& connection, Schema schema)
    : connection_(connection), schema_(std::move(schema)) {}

std::optional<MigrationProblem> Migrator::find_obstacle(const std::vector<MigrationStatus>& lines) {
    if (auto obstacle = find_file_obstacle(lines, schema_.version())) return obstacle;
    const LayerStatus layer = layer_status();
    if (!layer.newer_program.empty()) return newer_layer_problem(layer, schema_.layer.version);
    return std::nullopt;
}

std::optional<MigrationProblem> Migrator::take_lock() {
    const Ground& ground = connection_.ground();
    if (!ground.unfit.empty())
        return MigrationProblem{connection_.description() + " cannot be used: " + ground.unfit, ""};
    if (!ground.read_only.empty())
        return MigrationProblem{connection_.description() + " is read-only: " + ground.read_only, ""};
    try {
        // The lock is the session's and outlives the transaction; the time limit is the transaction's.
        Transaction transaction = connection_.begin();
        transaction.execute(fmt::format("SET LOCAL lock_timeout = '{}'", kLockTimeout));
        transaction.query(sql::migrations_lock, kMigratorLock);
        transaction.commit();
    } catch (const DatabaseError& error) {
        if (error.sqlstate() != "55P03") throw;
        return MigrationProblem{
            fmt::format("another migration has been running for {}", kLockTimeout),
            "wait for it, or look for it in pg_locks (locktype advisory) and end that session"};
    }
    return std::nullopt;
}

tl::expected<MigrationsDone, MigrationProblem> Migrator::up(std::optional<int> target) {
    const int known = schema_.version();
    if (target && (*target < 1 || *target > known)) {
        return tl::unexpected(MigrationProblem{
            fmt::format("there is no migration {}; this program knows 1 to {}", *target, known), ""});
    }
    if (auto problem = take_lock()) return tl::unexpected(*problem);
    const Lock lock(connection_);
    // Read under the lock: what another migrator has just done is done.
    const auto lines = status();
    if (auto obstacle = find_obstacle(lines)) return tl::unexpected(*obstacle);
    connection_.execute(sql::migrations_create);
    MigrationsDone done;
    for (const Migration& migration : schema_.migrations) {
        if (migration.version > target.value_or(known)) break;
        const auto line = std::find_if(lines.begin(), lines.end(), [&](const MigrationStatus& candidate) {
            return candidate.version == migration.version;
        });
        if (line->state == MigrationState::applied) continue;
        if (auto problem = apply(migration, true)) return tl::unexpected(*problem);
        done.push_back(migration.title());
    }
    if (target.value_or(known) < known || layer_status().state == LayerState::applied) return done;
    if (auto problem = LayerApplier(connection_).apply(schema_.layer)) return tl::unexpected(*problem);
    done.push_back(layer_title(layer_status()));
    return done;
}

tl::expected<MigrationsDone, MigrationProblem> Migrator::down(int target) {
    if (target < 0) return tl::unexpected(MigrationProblem{"a schema version cannot be negative", ""});
    if (auto problem = take_lock()) return tl::unexpected(*problem);
    const Lock lock(connection_);
    const auto lines = status();
    if (auto obstacle = find_obstacle(lines)) return tl::unexpected(*obstacle);
    MigrationsDone done;
    // The functions and views need all tables, so they go before the first of them.
    if (const LayerStatus layer = layer_status(); target < current_version() && layer.objects > 0) {
        if (auto problem = LayerApplier(connection_).drop()) return tl::unexpected(*problem);
        done.push_back(layer_title(layer));
    }
    for (auto migration = schema_.migrations.rbegin(); migration != schema_.migrations.rend(); ++migration) {
        if (migration->version <= target) break;
        const auto line = std::find_if(lines.begin(), lines.end(), [&](const MigrationStatus& candidate) {
            return candidate.version == migration->version;
        });
        if (line->state == MigrationState::pending) continue;
        if (auto problem = apply(*migration, false)) return tl::unexpected(with_layer(*problem, done));
        done.push_back(migration->title());
    }
    return done;
}

// A database that keeps all its tables gets back the functions that were taken away before them.
MigrationProblem Migrator::with_layer(MigrationProblem problem, const MigrationsDone& done) {
    if (layer_status().state == LayerState::applied) return problem;
    if (done.size() <= 1 && !LayerApplier(connection_).apply(schema_.layer)) return problem;
    problem.advice = "the functions and views are gone; bring them back with: tasker migrate up";
    return problem;
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
    return compare(schema_.migrations, read_applied(connection_, find_own_tables(connection_)));
}

LayerStatus Migrator::layer_status() {
    return read_layer(connection_, find_own_tables(connection_), schema_.layer);
}

int Migrator::current_version() {
    const Applied applied = read_applied(connection_, find_own_tables(connection_));
    return applied.empty() ? 0 : applied.rbegin()->first;
}

SchemaCheck check_schema(Connection& connection, const Schema& schema) {
    const OwnTables tables = find_own_tables(connection);
    const Applied applied = read_applied(connection, tables);
    SchemaCheck check;
    check.database_version = applied.empty() ? 0 : applied.rbegin()->first;
    check.required_version = schema.version();
    const std::string where = connection.description();
    const auto verdict = [&](SchemaVerdict value, std::string message) {
        check.verdict = value;
        check.message = std::move(message);
        return check;
    };
    if (const std::string& unfit = connection.ground().unfit; !unfit.empty())
        return verdict(SchemaVerdict::unfit, where + " cannot be used: " + unfit);
    const auto lines = compare(schema.migrations, applied);
    if (auto obstacle = find_file_obstacle(lines, check.required_version)) {
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
    const LayerStatus layer = read_layer(connection, tables, schema.layer);
    if (!layer.newer_program.empty()) {
        const auto problem = newer_layer_problem(layer, schema.layer.version);
        return verdict(SchemaVerdict::newer, fmt::format("{}: {}; {} (see: tasker migrate status)", where,
                                                         problem.message, problem.advice));
    }
    if (layer.state != LayerState::applied) {
        return verdict(
            SchemaVerdict::other_functions,
            fmt::format(
                "{}: the functions and views are not those of this program ({} of {} files differ, {} "
                "objects were dropped or altered by hand); bring them up to date with: tasker migrate up",
                where, layer.files_differ, layer.files, layer.objects_differ));
    }
    return check;
}

}  // namespace tasker::postgres
