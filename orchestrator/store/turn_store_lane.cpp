// Who may write: the lane's lock and epoch, and the end of a holder that hangs.
#include "orchestrator/store/port_errors.hpp"
#include "orchestrator/store/turn_store.hpp"

namespace tasker::store {
namespace {

// One lock per database and lane: two orchestrators must not both believe they are the writer.
constexpr std::int64_t kInstanceLock = 0x7461736b65720000;

}  // namespace

bool TurnStore::take_instance_lock() {
    return with_port_errors([&] {
        return connection_.query("SELECT pg_try_advisory_lock($1)", kInstanceLock + lane_)
            .at(0)[0]
            .as<bool>();
    });
}

std::string TurnStore::holder_seen() {
    return with_port_errors([&] {
        const auto rows =
            connection_.query("SELECT epoch || ' ' || last_seen_at FROM tasker_orchestrators WHERE lane = $1",
                              static_cast<int>(lane_));
        return rows.empty() ? std::string() : rows.at(0)[0].as<std::string>();
    });
}

bool TurnStore::end_silent_holder(const std::string& seen) {
    return with_port_errors([&] {
        // A process id may long belong to somebody else: only our own kind is ended.
        const auto rows = connection_.query(
            "SELECT (SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a"
            "   WHERE a.pid = ANY (o.backend_pids) AND a.pid <> pg_backend_pid()"
            "   AND a.datname = current_database() AND a.application_name LIKE 'tasker-orchestrator%')"
            " FROM tasker_orchestrators o WHERE o.lane = $1 AND epoch || ' ' || last_seen_at = $2",
            static_cast<int>(lane_), seen);
        return !rows.empty();
    });
}

std::string TurnStore::lock_holder() {
    return with_port_errors([&] {
        const auto rows = connection_.query(
            "SELECT instance, host, pid, extract(epoch FROM clock_timestamp() - last_seen_at)::int AS silent "
            "FROM tasker_orchestrators WHERE lane = $1",
            static_cast<int>(lane_));
        if (rows.empty()) return std::string("unknown");
        const auto row = rows.at(0);
        return "instance " + row["instance"].as<std::string>() + " on host " + row["host"].as<std::string>() +
               ", pid " + row["pid"].as<std::string>() + ", last seen " + row["silent"].as<std::string>() +
               " s ago";
    });
}

std::int64_t TurnStore::begin_epoch() {
    return with_port_errors([&] {
        const auto rows = connection_.query(
            "INSERT INTO tasker_orchestrators AS o (lane, instance, epoch, host, pid, backend_pids, "
            "endpoints) "
            "VALUES ($1, $2, 1, $3, $4, ARRAY[pg_backend_pid()], $5::jsonb) "
            "ON CONFLICT (lane) DO UPDATE SET instance = EXCLUDED.instance, epoch = o.epoch + 1, turn = 0, "
            "state = 'starting', host = EXCLUDED.host, pid = EXCLUDED.pid, backend_pids = "
            "EXCLUDED.backend_pids, "
            "endpoints = EXCLUDED.endpoints, started_at = clock_timestamp(), last_seen_at = "
            "clock_timestamp() "
            "RETURNING epoch",
            static_cast<int>(lane_), instance_.id, instance_.host, instance_.pid, instance_.endpoints_json);
        epoch_ = rows.at(0)[0].as<std::int64_t>();
        return epoch_;
    });
}

std::int64_t TurnStore::resume_epoch(std::int64_t epoch) {
    return with_port_errors([&] {
        const auto rows = connection_.query(
            "UPDATE tasker_orchestrators SET backend_pids = ARRAY[pg_backend_pid()], last_seen_at = "
            "clock_timestamp() "
            "WHERE lane = $1 AND epoch = $2 RETURNING turn",
            static_cast<int>(lane_), epoch);
        if (rows.empty()) throw ports::EpochLost{};
        epoch_ = epoch;
        return rows.at(0)[0].as<std::int64_t>();
    });
}

}  // namespace tasker::store
