// Who may write: the lane's lock and epoch, and the end of a holder that hangs.
#include "orchestrator/store/alive.hpp"
#include "orchestrator/store/port_errors.hpp"
#include "orchestrator/store/turn_store.hpp"

namespace tasker::store {
namespace {

// One lock per database: two orchestrators must not both believe they are the writer.
constexpr std::int64_t kInstanceLock = 0x7461736b65720000;

// One word for the whole of the holder: the lane that has been silent longest speaks for it.
constexpr const char* kHolderSeen =
    "(SELECT max(o.epoch) || ' ' || min(o.last_seen_at) FROM tasker_orchestrators o)";

// A process id may long belong to somebody else: only our own kind is ended.
constexpr const char* kEndRecorded =
    "(SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a"
    " WHERE a.pid IN (SELECT unnest(o.backend_pids) FROM tasker_orchestrators o) AND a.pid <> "
    "pg_backend_pid()"
    " AND a.datname = current_database() AND a.application_name LIKE 'tasker-orchestrator%')";

}  // namespace

bool TurnStore::take_instance_lock() {
    return with_port_errors([&] {
        return connection_.query("SELECT pg_try_advisory_lock($1)", kInstanceLock).at(0)[0].as<bool>();
    });
}

std::string TurnStore::holder_seen() {
    return with_port_errors([&] {
        const auto field = connection_.execute(std::string("SELECT ") + kHolderSeen).at(0)[0];
        return field.is_null() ? std::string() : field.as<std::string>();
    });
}

bool TurnStore::end_silent_holder(const std::string& seen) {
    return with_port_errors([&] {
        return !connection_
                    .query(std::string("SELECT ") + kEndRecorded + " WHERE " + kHolderSeen + " = $1", seen)
                    .empty();
    });
}

std::string TurnStore::lock_holder() {
    return with_port_errors([&] {
        const auto rows = connection_.execute(
            "SELECT instance, host, pid, extract(epoch FROM clock_timestamp() - last_seen_at)::int AS silent "
            "FROM tasker_orchestrators ORDER BY lane LIMIT 1");
        if (rows.empty()) return std::string("unknown");
        const auto row = rows.at(0);
        return "instance " + row["instance"].as<std::string>() + " on host " + row["host"].as<std::string>() +
               ", pid " + row["pid"].as<std::string>() + ", last seen " + row["silent"].as<std::string>() +
               " s ago";
    });
}

std::int64_t TurnStore::begin_epoch() {
    return with_port_errors([&] {
        // The lock came free with one connection of the predecessor; its others may still stand, even in the
        // middle of a turn, and would hold their rows.
        connection_.execute(std::string("SELECT ") + kEndRecorded);
        const auto rows = connection_.query(
            "WITH gone AS (DELETE FROM tasker_orchestrators WHERE lane >= $1::int)"
            " INSERT INTO tasker_orchestrators AS o (lane, instance, epoch, host, pid, backend_pids, "
            "endpoints)"
            " SELECT n, $2, (SELECT coalesce(max(x.epoch), 0) + 1 FROM tasker_orchestrators x), $3, $4,"
            " CASE WHEN n = $5::int THEN ARRAY[pg_backend_pid()] ELSE '{}'::int[] END, $6::jsonb"
            " FROM generate_series(0, $1::int - 1) n ORDER BY n"
            " ON CONFLICT (lane) DO UPDATE SET instance = EXCLUDED.instance, epoch = EXCLUDED.epoch, turn = "
            "0,"
            " state = 'starting', host = EXCLUDED.host, pid = EXCLUDED.pid,"
            " backend_pids = EXCLUDED.backend_pids, endpoints = EXCLUDED.endpoints,"
            " started_at = clock_timestamp(), last_seen_at = clock_timestamp()"
            " RETURNING epoch",
            lane_.count, instance_.id, instance_.host, instance_.pid, lane_.number, instance_.endpoints_json);
        epoch_ = rows.at(0)[0].as<std::int64_t>();
        return epoch_;
    });
}

void TurnStore::beat(std::int64_t epoch) {
    with_port_errors([&] { say_alive(connection_, epoch); });
}

std::int64_t TurnStore::resume_epoch(std::int64_t epoch) {
    return with_port_errors([&] {
        const auto rows = connection_.query(
            "UPDATE tasker_orchestrators SET backend_pids = ARRAY[pg_backend_pid()], last_seen_at = "
            "clock_timestamp() "
            "WHERE lane = $1 AND epoch = $2 RETURNING turn",
            lane_.number, epoch);
        if (rows.empty()) throw ports::EpochLost{};
        epoch_ = epoch;
        return rows.at(0)[0].as<std::int64_t>();
    });
}

}  // namespace tasker::store
