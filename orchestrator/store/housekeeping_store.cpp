#include "orchestrator/store/housekeeping_store.hpp"

#include <poll.h>

#include <nlohmann/json.hpp>

#include "orchestrator/postgres/array_text.hpp"
#include "orchestrator/store/alive.hpp"
#include "orchestrator/store/port_errors.hpp"
#include "orchestrator/store/sql.hpp"
#include "orchestrator/store/wake_payload.hpp"

namespace tasker::store {
namespace {

postgres::ConnectionSettings named(const char* name) {
    postgres::ConnectionSettings settings;
    settings.application_name = name;
    return settings;
}

postgres::Connection open(const postgres::Address& database, const char* name) {
    return with_port_errors([&] { return postgres::Connection(database, named(name)); });
}

std::string faults_json(const core::FaultCounts& faults) {
    nlohmann::json counted = nlohmann::json::object();
    for (std::size_t i = 0; i < faults.size(); ++i) {
        if (faults[i] > 0)
            counted[std::string(core::to_text(static_cast<core::SessionFault>(i)))] = faults[i];
    }
    return counted.dump();
}

}  // namespace

WakeConnection::WakeConnection(const postgres::Address& database)
    : connection_(open(database, "tasker-orchestrator wake")) {
    with_port_errors(
        [&] { connection_.listen(connection_.execute(sql::wake_channel).at(0)[0].as<std::string>()); });
}

std::vector<ports::Wake> WakeConnection::wait(int stop_fd, int timeout_ms) {
    return with_port_errors([&] {
        std::vector<ports::Wake> wakes;
        auto notifications = connection_.take_notifications();
        if (notifications.empty()) {
            pollfd fds[2] = {{connection_.socket(), POLLIN, 0}, {stop_fd, POLLIN, 0}};
            ::poll(fds, 2, timeout_ms);
            notifications = connection_.take_notifications();
        }
        for (const auto& notification : notifications) wakes.push_back(parse_wake(notification.payload));
        return wakes;
    });
}

HousekeepingStore::HousekeepingStore(const postgres::Address& database, std::int64_t epoch)
    : epoch_(epoch), connection_(open(database, "tasker-orchestrator caretaker")) {
    // A beat is no fact worth a wait for the disk, and it holds the lanes' rows while it waits.
    // Nobody who locks the worker list in a console may keep it from showing that this process lives: a standby
    // takes over after 5 s.
    with_port_errors([&] { connection_.execute("SET synchronous_commit = off; SET lock_timeout = '2s'"); });
}

void HousekeepingStore::beat() {
    with_port_errors([&] { refresh_alive(connection_, epoch_); });
}

void HousekeepingStore::set_state(const std::string& state, const std::string& endpoints_json) {
    with_port_errors([&] { connection_.query(sql::set_orchestrator_state, epoch_, state, endpoints_json); });
}

void HousekeepingStore::write_workers(const std::vector<core::SessionView>& rows,
                                      const std::vector<std::string>& known) {
    postgres::ArrayText columns[15];
    for (const auto& view : rows) {
        columns[0].add_text(view.spec.session);
        columns[1].add_text(view.spec.worker_id);
        columns[2].add_text(view.spec.language);
        columns[3].add_text(view.spec.sdk_version);
        columns[4].add_text(nlohmann::json(view.spec.handlers).dump());
        columns[5].add_text(nlohmann::json(view.spec.namespaces).dump());
        columns[6].add(view.spec.capacity);
        columns[7].add(view.in_flight);
        columns[8].add_text(core::to_text(view.state));
        columns[9].add_text(view.spec.host);
        columns[10].add(view.spec.pid);
        columns[11].add(view.heartbeat_age.count());
        columns[12].add(view.limit);
        columns[13].add(view.free);
        columns[14].add_text(faults_json(view.faults));
    }
    postgres::ArrayText known_sessions;
    for (const auto& session : known) known_sessions.add_text(session);
    with_port_errors([&] {
        connection_.query(sql::write_workers, columns[0].take(), columns[1].take(), columns[2].take(),
                          columns[3].take(), columns[4].take(), columns[5].take(), columns[6].take(),
                          columns[7].take(), columns[8].take(), columns[9].take(), columns[10].take(),
                          columns[11].take(), columns[12].take(), columns[13].take(), columns[14].take(),
                          epoch_);
        connection_.query(sql::forget_workers, epoch_, known_sessions.take());
    });
}

void HousekeepingStore::notify_done(const std::vector<std::int64_t>& task_ids) {
    postgres::ArrayText ids;
    for (const auto id : task_ids) ids.add(id);
    with_port_errors([&] { connection_.query(sql::notify_done, ids.take()); });
}

}  // namespace tasker::store
