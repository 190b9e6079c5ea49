#include "orchestrator/store/housekeeping_store.hpp"

#include <poll.h>

#include <nlohmann/json.hpp>

#include "orchestrator/store/alive.hpp"
#include "orchestrator/store/array_text.hpp"
#include "orchestrator/store/port_errors.hpp"
#include "orchestrator/store/wake_payload.hpp"

namespace tasker::store {
namespace {

ConnectionSettings named(const char* name) {
    ConnectionSettings settings;
    settings.application_name = name;
    return settings;
}

Connection open(const std::string& url, const char* name) {
    return with_port_errors([&] { return Connection(url, named(name)); });
}

}  // namespace

WakeConnection::WakeConnection(const std::string& database_url)
    : connection_(open(database_url, "tasker-orchestrator wake")) {
    with_port_errors([&] { connection_.listen("tasker_wake"); });
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

HousekeepingStore::HousekeepingStore(const std::string& database_url, std::int64_t epoch)
    : epoch_(epoch), connection_(open(database_url, "tasker-orchestrator caretaker")) {
    // A beat is no fact worth a wait for the disk, and it holds the lanes' rows while it waits.
    with_port_errors([&] { connection_.execute("SET synchronous_commit = off"); });
}

void HousekeepingStore::beat() {
    with_port_errors([&] { say_alive(connection_, epoch_); });
}

void HousekeepingStore::set_state(const std::string& state, const std::string& endpoints_json) {
    with_port_errors([&] {
        connection_.query(
            // In the order in which a successor takes these rows.
            "WITH mine AS (SELECT lane FROM tasker_orchestrators WHERE epoch = $1 ORDER BY lane FOR UPDATE)"
            " UPDATE tasker_orchestrators o SET state = $2, endpoints = $3::jsonb,"
            " last_seen_at = clock_timestamp() FROM mine WHERE o.lane = mine.lane",
            epoch_, state, endpoints_json);
    });
}

void HousekeepingStore::write_workers(const std::vector<core::SessionView>& rows,
                                      const std::vector<std::string>& known) {
    ArrayText columns[13];
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
        columns[9].add_text(view.spec.host + "\n" + std::to_string(view.spec.pid));
        columns[10].add(view.heartbeat_age.count());
        columns[11].add(view.limit);
        columns[12].add(view.free);
    }
    with_port_errors([&] {
        connection_.query(
            "INSERT INTO tasker_workers AS w (session, worker_id, language, sdk_version, handlers, "
            "namespaces, capacity,"
            " in_flight, state, host, pid, epoch, last_heartbeat_at, credit_limit, free_credit)"
            " SELECT x.session, left(x.worker, 255), left(x.language, 32), left(x.sdk, 64), "
            "x.handlers::jsonb,"
            " x.namespaces::jsonb, "
            "x.capacity,"
            " x.in_flight, x.state, left(split_part(x.host, E'\\n', 1), 255), nullif(split_part(x.host, "
            "E'\\n', 2), "
            "'')::int,"
            " $14, clock_timestamp() - make_interval(secs => x.age / 1000.0), x.credit_limit, x.free_credit"
            " FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], "
            "$8::int[],"
            " $9::text[], $10::text[], $11::bigint[], $12::int[], $13::int[])"
            " AS x(session, worker, language, sdk, handlers, namespaces, capacity, in_flight, state, host, "
            "age, credit_limit, free_credit)"
            " ORDER BY x.session"
            " ON CONFLICT (session) DO UPDATE SET worker_id = EXCLUDED.worker_id, handlers = "
            "EXCLUDED.handlers,"
            " namespaces = EXCLUDED.namespaces, capacity = EXCLUDED.capacity, in_flight = EXCLUDED.in_flight,"
            " state = EXCLUDED.state, host = EXCLUDED.host, pid = EXCLUDED.pid, epoch = EXCLUDED.epoch,"
            " last_heartbeat_at = EXCLUDED.last_heartbeat_at, credit_limit = EXCLUDED.credit_limit,"
            " free_credit = EXCLUDED.free_credit",
            columns[0].take(), columns[1].take(), columns[2].take(), columns[3].take(), columns[4].take(),
            columns[5].take(), columns[6].take(), columns[7].take(), columns[8].take(), columns[9].take(),
            columns[10].take(), columns[11].take(), columns[12].take(), epoch_);
        // Sessions of an earlier epoch that have not come back, and those the registry has forgotten.
        connection_.query(
            "UPDATE tasker_workers SET state = 'gone', in_flight = 0, free_credit = 0 WHERE state <> 'gone' "
            "AND NOT"
            " (session = ANY ($2::text[])) AND (epoch = $1 OR last_heartbeat_at < clock_timestamp() - "
            "interval '1 min')",
            epoch_, [&] {
                ArrayText names;
                for (const auto& session : known) names.add_text(session);
                return names.take();
            }());
    });
}

void HousekeepingStore::notify_done(const std::vector<std::int64_t>& task_ids) {
    ArrayText ids;
    for (const auto id : task_ids) ids.add(id);
    with_port_errors([&] {
        connection_.query("SELECT pg_notify('tasker_done', id::text) FROM unnest($1::bigint[]) id",
                          ids.take());
    });
}

}  // namespace tasker::store
