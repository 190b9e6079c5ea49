// Brings a database to the schema this program was built for, and says whether it is there. The migrations
// are compiled in. tasker_schema_migrations records what was applied, with a checksum of the SQL.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "orchestrator/store/connection.hpp"

namespace tasker::store {

/// One numbered step of the schema. Versions count from 1 without gaps; `name` is verb_noun.
struct Migration {
    int version = 0;
    std::string name;
    std::string up;
    std::string down;

    /// "003_create_batches".
    std::string title() const;
    /// SHA-256 of `up`, in hexadecimal.
    std::string checksum() const;
};

/// The migrations this program was built with, ascending. Every process that starts with the same binary sees
/// the same list.
const std::vector<Migration>& embedded_migrations();
/// Generated at build time from migrations/*.sql; use embedded_migrations().
std::vector<Migration> read_embedded_migrations();

/// The version of the last embedded migration: what the services need.
int required_version();

enum class MigrationState {
    applied,
    pending,
    changed,  // applied, but from other SQL than this program holds
    unknown,  // applied, but this program does not hold it: the database is newer
};
const char* to_string(MigrationState state);

/// One line of the status: `applied_at` is RFC 3339 in UTC, empty when pending.
struct MigrationStatus {
    int version = 0;
    std::string name;
    MigrationState state = MigrationState::pending;
    std::string applied_at;
};

/// Why a migration was refused or failed, in words, and what to do about it (may be empty).
struct MigrationProblem {
    std::string message;
    std::string advice;
};

/// What was done, in order; empty when there was nothing to do.
using MigrationsDone = std::vector<std::string>;

/// Runs migrations on one connection. Each is one transaction with its version row first; an advisory lock
/// keeps a second migrator waiting. Throws DatabaseError only when the database itself is lost.
class Migrator {
  public:
    explicit Migrator(Connection& connection, std::vector<Migration> migrations = embedded_migrations());

    /// Applies what is missing, up to `target` (default: all). Refuses when an applied migration has changed,
    /// or when the database is newer than `migrations`. What succeeded before a failure stays.
    tl::expected<MigrationsDone, MigrationProblem> up(std::optional<int> target = std::nullopt);
    /// Takes back the newest migrations until `target` is the last applied one (0: none). Destroys data.
    tl::expected<MigrationsDone, MigrationProblem> down(int target);
    /// All migrations, known here or recorded in the database, ascending.
    std::vector<MigrationStatus> status();
    /// The newest version recorded in the database, 0 when there is none.
    int current_version();

  private:
    class Lock;
    std::optional<MigrationProblem> take_lock();
    std::optional<MigrationProblem> apply(const Migration& migration, bool upwards);

    Connection& connection_;
    std::vector<Migration> migrations_;
};

enum class SchemaVerdict { ok, missing, older, newer, changed };

/// Whether this program may work with the database. `message` names the versions and the command that helps;
/// empty when ok.
struct SchemaCheck {
    SchemaVerdict verdict = SchemaVerdict::ok;
    int database_version = 0;
    int required_version = 0;
    std::string message;
};

/// One round trip (two on a fresh database). Throws DatabaseError when the database cannot answer.
SchemaCheck check_schema(Connection& connection,
                         const std::vector<Migration>& migrations = embedded_migrations());

}  // namespace tasker::store
