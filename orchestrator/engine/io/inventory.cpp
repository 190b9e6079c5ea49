#include "orchestrator/engine/io/inventory.hpp"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;

void IoInventory::check(const protocol::WorkerHeartbeat& heartbeat, const core::Inventory& inventory,
                        milliseconds now) {
    cancel_stale(heartbeat);
    if (const auto session = sessions_.find(heartbeat.session); session != sessions_.end())
        ++session->second.heartbeats;
    check_held(heartbeat, now);
    check_unacked(heartbeat, now);
    drop_unlisted(heartbeat.session);
    dispatch_.find_absent(heartbeat.session, inventory, heartbeat.seen_n);
}

void IoInventory::on_step_ended(std::string_view session) {
    if (sessions_.empty()) return;
    if (const auto found = sessions_.find(session); found != sessions_.end()) ++found->second.ended;
}

void IoInventory::forget(std::string_view session) {
    if (const auto found = sessions_.find(session); found != sessions_.end()) sessions_.erase(found);
}

// A worker that was thought dead goes on with attempts that are over, and one whose step timed out may still
// run it. Told again with each heartbeat until it stops: the cancellation itself may be lost.
void IoInventory::cancel_stale(const protocol::WorkerHeartbeat& heartbeat) {
    protocol::Cancel cancel;
    registry_.with([&](const core::SessionRegistry& registry) {
        const auto look_at = [&](const auto& refs) {
            for (const auto& ref : refs) {
                if ((trusted_ >> core::lane_of_batch(ref.batch_id, options_.lanes) & 1U) == 0) continue;
                const std::string* owner = registry.flights().session_of(ref.batch_id);
                const bool expected = owner != nullptr && *owner == heartbeat.session &&
                                      registry.flights().expects(ref.batch_id, ref.step_id);
                if (!expected) cancel.steps.push_back({ref.batch_id, ref.step_id, ref.attempt});
            }
        };
        look_at(heartbeat.held);
        look_at(heartbeat.running);
    });
    if (cancel.steps.empty()) return;
    cancel.session = heartbeat.session;
    cancel.reason = "stale";
    count(counters_.stale_cancelled, static_cast<std::int64_t>(cancel.steps.size()));
    sender_.control(heartbeat.session, cancel);
}

// ---------------------------------------------------------------- what does not move on

std::vector<const protocol::StepRef*> IoInventory::expected_of(std::string_view session,
                                                               const std::vector<protocol::StepRef>& refs) {
    std::vector<const protocol::StepRef*> expected;
    if (refs.empty()) return expected;
    registry_.with([&](const core::SessionRegistry& registry) {
        for (const auto& ref : refs) {
            const std::string* owner = registry.flights().session_of(ref.batch_id);
            if (owner != nullptr && *owner == session &&
                registry.flights().expects(ref.batch_id, ref.step_id))
                expected.push_back(&ref);
        }
    });
    return expected;
}

// A running step ends in time, or times out and is expected no more. So what waits behind it waits by right.
bool IoInventory::runs_in_time(const protocol::WorkerHeartbeat& heartbeat) {
    return registry_.with([&](const core::SessionRegistry& registry) {
        return std::any_of(heartbeat.running.begin(), heartbeat.running.end(), [&](const auto& step) {
            const std::string* owner = registry.flights().session_of(step.batch_id);
            return owner != nullptr && *owner == heartbeat.session &&
                   registry.flights().expects(step.batch_id, step.step_id);
        });
    });
}

std::int64_t IoInventory::overtaken_at(std::string_view session) {
    return registry_.with([&](const core::SessionRegistry& registry) {
        const core::KnownSession* known = registry.find(session);
        return known == nullptr ? kOvertakenMin
                                : std::max(kOvertakenMin, kOvertakenTimes * core::credit_limit(known->spec));
    });
}

IoInventory::Wait& IoInventory::wait_for(Waits& waits, const Session& session, const protocol::StepRef& ref,
                                         milliseconds now) {
    key_.assign(ref.batch_id).append(1, ' ').append(std::to_string(ref.step_id));
    auto found = waits.find(key_);
    if (found == waits.end())
        found = waits.emplace(key_, Wait{now, 0, session.ended, counters_.reports_dropped.load(), 0}).first;
    found->second.heartbeat = session.heartbeats;
    return found->second;
}

void IoInventory::check_held(const protocol::WorkerHeartbeat& heartbeat, milliseconds now) {
    if (heartbeat.held.empty()) return;
    Session& session = sessions_[heartbeat.session];
    const bool behind_others = heartbeat.free <= 0 && runs_in_time(heartbeat);
    const std::int64_t overtaken_at_most = overtaken_at(heartbeat.session);
    for (const auto* ref : expected_of(heartbeat.session, heartbeat.held)) {
        Wait& wait = wait_for(session.held, session, *ref, now);
        const bool overtaken = session.ended - wait.ended >= overtaken_at_most;
        if (wait.times == 0 && behind_others && !overtaken) {
            wait.since = now;
            continue;
        }
        if (now - wait.since < options_.held_limit && (wait.times > 0 || !overtaken)) continue;
        log::warning("a worker holds a step without starting it, although nothing keeps it from that",
                     {{"session", heartbeat.session},
                      {"batch", ref->batch_id},
                      {"step_id", ref->step_id},
                      {"free", heartbeat.free}});
        post_.event(ports::HeldTooLong{heartbeat.session, ref->batch_id, ref->step_id, wait.times > 0, now});
        ++wait.times;
        wait.since = now;
    }
}

// Its report left before this heartbeat and on the same connection, or was lost and is sent again. Where this
// process itself drops reports, the session is not to blame.
void IoInventory::check_unacked(const protocol::WorkerHeartbeat& heartbeat, milliseconds now) {
    const auto expected = expected_of(heartbeat.session, heartbeat.unacked);
    if (expected.empty()) return;
    Session& session = sessions_[heartbeat.session];
    std::map<std::string_view, std::vector<std::int64_t>> asked, withheld;
    for (const auto* ref : expected) {
        Wait& wait = wait_for(session.unacked, session, *ref, now);
        const std::int64_t dropped = counters_.reports_dropped.load();
        if (wait.dropped != dropped) wait = {now, 0, 0, dropped, wait.heartbeat};
        // Longer each time: a worker whose disk is full may not send what it has not written.
        if (now - wait.since < options_.held_limit * (1 << wait.times)) continue;
        wait.since = now;
        (++wait.times <= kTimesAskedMax ? asked : withheld)[ref->batch_id].push_back(ref->step_id);
    }
    for (auto& [batch_uuid, steps] : asked) {
        protocol::ReportRequest request;
        request.session = heartbeat.session;
        request.batch_id = batch_uuid;
        request.step_ids = std::move(steps);
        sender_.control(heartbeat.session, request);
    }
    for (auto& [batch_uuid, steps] : withheld)
        give_up_reports(heartbeat.session,
                        {heartbeat.session, std::string(batch_uuid), std::move(steps), true}, now);
}

void IoInventory::give_up_reports(std::string_view session, ports::StepsAbsent withheld, milliseconds now) {
    log::warning("a worker says that it has reported steps, and their reports do not come although asked for",
                 {{"session", session}, {"batch", withheld.batch_uuid}, {"steps", withheld.step_ids.size()}});
    post_.event(std::move(withheld));
    registry_.with([&](auto& registry) { registry.on_batch_ignored(session, now); });
}

void IoInventory::drop_unlisted(std::string_view name) {
    const auto found = sessions_.find(name);
    if (found == sessions_.end()) return;
    Session& session = found->second;
    for (Waits* waits : {&session.held, &session.unacked})
        std::erase_if(*waits,
                      [&](const auto& entry) { return entry.second.heartbeat != session.heartbeats; });
    if (session.held.empty() && session.unacked.empty()) sessions_.erase(found);
}

}  // namespace tasker::engine
