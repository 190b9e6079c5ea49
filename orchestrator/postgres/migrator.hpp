// Brings a database to the schema this program was built for, and says whether it is there. The schema is
// compiled in and has two layers: numbered migrations for what holds data, each applied once, and the
// functions and views on top (layer.hpp), applied as a whole whenever one of their files has changed.
// tasker_schema_migrations, tasker_schema_layer and tasker_schema_objects record what was applied, with
// checksums of the SQL.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "orchestrator/postgres/connection.hpp"
#include "orchestrator/postgres/layer.hpp"
#include "orchestrator/postgres/layer_applier.hpp"

namespace tasker::postgres {

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

/// Everything a database needs.
struct Schema {
    std::vector<Migration> migrations;
    Layer layer;

    /// The version of the last migration, 0 without any.
    int version() const { return migrations.empty() ? 0 : migrations.back().version; }
};
/// What this program was built with.
const Schema& embedded_schema();

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

enum class LayerState {
    applied,
    pending,  // this program has functions and views, the database none
    changed,  // those in force came from other files than this program holds
};
const char* to_string(LayerState state);

/// The layer of functions and views: how many objects are in force and since when (RFC 3339 in UTC, empty
/// when pending), how many files this program has, and how many of them differ from those in force (edited,
/// added or removed).
struct LayerStatus {
    LayerState state = LayerState::pending;
    int objects = 0;
    int files = 0;
    int files_differ = 0;
    int objects_differ = 0;     // dropped or altered by hand since
    std::string newer_program;  // the version that brought it, where that is newer than this program
    std::string applied_at;
};

/// What was done, in order; empty when there was nothing to do. The layer is one entry: "functions (90
/// objects)".
using MigrationsDone = std::vector<std::string>;

/// Runs migrations on one connection. Each is one transaction with its version row first, and so is the
/// layer; an advisory lock keeps a second migrator waiting. Throws DatabaseError only when the database
/// itself is lost.
class Migrator {
  public:
    explicit Migrator(Connection& connection, Schema schema = embedded_schema());

    /// Applies what is missing, up to `target` (default: all), and behind the last migration the layer when
    /// its files differ from those in force. Refuses when an applied migration has changed, when the database
    /// or its layer is newer than the schema, or when the database is unfit or read-only. What succeeded
    /// before a failure stays.
    tl::expected<MigrationsDone, MigrationProblem> up(std::optional<int> target = std::nullopt);
    /// Takes back the layer, then the newest migrations until `target` is the last applied one (0: none).
    /// Destroys data. Does nothing when `target` is applied last already.
    tl::expected<MigrationsDone, MigrationProblem> down(int target);
    /// All migrations, known here or recorded in the database, ascending.
    std::vector<MigrationStatus> status();
    LayerStatus layer_status();
    /// The newest version recorded in the database, 0 when there is none.
    int current_version();

  private:
    class Lock;
    std::optional<MigrationProblem> take_lock();
    std::optional<MigrationProblem> find_obstacle(const std::vector<MigrationStatus>& lines);
    MigrationProblem with_layer(MigrationProblem problem, const MigrationsDone& done);
    std::optional<MigrationProblem> apply(const Migration& migration, bool upwards);

    Connection& connection_;
    Schema schema_;
};

enum class SchemaVerdict {
    ok,
    missing,
    older,
    newer,
    changed,
    unfit,            // the database itself is not usable: Ground::unfit says why
    other_functions,  // the numbered migrations are there, the functions and views are not those of this
                      // program
};

/// Whether this program may work with the database. `message` names the versions and the command that helps;
/// empty when ok.
struct SchemaCheck {
    SchemaVerdict verdict = SchemaVerdict::ok;
    int database_version = 0;
    int required_version = 0;
    std::string message;
};

/// Looks at the ground, then compares the checksums of both layers: three short queries, one on a fresh
/// database. Throws DatabaseError when the database cannot answer.
SchemaCheck check_schema(Connection& connection, const Schema& schema = embedded_schema());

}  // namespace tasker::postgres
