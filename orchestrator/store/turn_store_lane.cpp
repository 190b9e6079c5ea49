// Who may write: the lane's lock and epoch, and the end of a holder that hangs.
#include "orchestrator/store/alive.hpp"
#include "orchestrator/store/port_errors.hpp"
#include "orchestrator/store/sql.hpp"
#include "orchestrator/store/turn_store.hpp"

namespace tasker::store {
namespace {

// "tskI" in ASCII. One lock per installation: two orchestrators must not both believe they are the writer.
constexpr std::int32_t kInstanceLock = 0x74736b49;

}  // namespace

bool TurnStore::take_instance_lock() {
    return with_port_errors(
        [&] { return connection_.query(sql::try_lock, kInstanceLock).at(0)[0].as<bool>(); });
}

std::string TurnStore::holder_seen() {
    return with_port_errors([&] {
        const auto field = connection_.execute(sql::holder_seen).at(0)[0];
        return field.is_null() ? std::string() : field.as<std::string>();
    });
}

bool TurnStore::end_silent_holder(const std::string& seen) {
    return with_port_errors([&] { return !connection_.query(sql::end_recorded_backends, seen).empty(); });
}

bool TurnStore::record_standby() {
    try {
        connection_.query(sql::record_standby, instance_.id, instance_.host, instance_.pid,
                          instance_.endpoints_json);
        return true;
    } catch (const postgres::DatabaseError&) {
        return false;
    }
}

bool TurnStore::forget_standby() {
    try {
        connection_.query(sql::forget_standby, instance_.id);
        return true;
    } catch (const postgres::DatabaseError&) {
        return false;
    }
}

std::string TurnStore::lock_holder() {
    return with_port_errors([&] {
        const auto rows = connection_.execute(sql::lock_holder);
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
        connection_.query(sql::end_recorded_backends, nullptr);
        const auto rows = connection_.query(sql::begin_epoch, lane_.count, instance_.id, instance_.host,
                                            instance_.pid, lane_.number, instance_.endpoints_json);
        epoch_ = rows.at(0)[0].as<std::int64_t>();
        return epoch_;
    });
}

void TurnStore::beat(std::int64_t epoch) {
    with_port_errors([&] { refresh_alive(connection_, epoch); });
}

std::int64_t TurnStore::resume_epoch(std::int64_t epoch) {
    return with_port_errors([&] {
        const auto rows = connection_.query(sql::resume_epoch, lane_.number, epoch);
        if (rows.empty()) throw ports::EpochLost{};
        epoch_ = epoch;
        return rows.at(0)[0].as<std::int64_t>();
    });
}

}  // namespace tasker::store
