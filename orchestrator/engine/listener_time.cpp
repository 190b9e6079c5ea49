// What the listener does by the clock: full scans, retries that are due, graces, time-outs.
#include <algorithm>
#include <set>
#include <utility>

#include "orchestrator/engine/listener.hpp"

namespace tasker::engine {

using std::chrono::milliseconds;

milliseconds Listener::next_deadline() const {
    if (look_again_ || due_now_ || (has_own_work() && own_work_due())) return milliseconds(0);
    auto deadline = std::min({due_at_, full_scan_at_, locked_until_});
    if (!time_outs_.empty()) deadline = std::min(deadline, time_outs_.begin()->first);
    if (!graces_.empty()) deadline = std::min(deadline, graces_.begin()->first);
    if (has_own_work()) deadline = std::min(deadline, own_work_at_);
    return std::max(milliseconds(0), deadline);
}

void Listener::notice(const ports::Inbound& inbound) {
    if (const auto* wake = std::get_if<ports::Wake>(&inbound)) {
        if (wake->definitions || wake->full_scan) definitions_changed_ = true;
        if (wake->full_scan) {
            keys_.mark_all_waiting();
            due_now_ = true;
            commands_wait_ = true;
        }
        for (const auto key : wake->keys) keys_.mark_waiting(key, wake->from);
    } else if (std::holds_alternative<ports::CreditAppeared>(inbound)) {
        planner_.forget_sessions();
    }
}

void Listener::fire_timers() {
    const auto now = around_.clock.boot_time();
    if (now >= full_scan_at_) {
        // Whatever wake-up was lost costs at most this long.
        full_scan_at_ = now + options_.full_scan_every;
        keys_.mark_all_waiting();
        planner_.forget_sessions();
        due_now_ = true;
        commands_wait_ = true;
        look_for_gone_sessions();
    }
    if (now >= locked_until_) {
        locked_until_ = milliseconds::max();
        resting_keys_.clear();
    }
    if (now >= due_at_) {
        due_now_ = true;
        due_at_ = milliseconds::max();
    }
    fire_graces(now);
    fire_time_outs(now);
}

void Listener::fire_graces(milliseconds now) {
    while (!graces_.empty() && graces_.begin()->first <= now) {
        const auto ends = graces_.begin()->first;
        const auto uuid = graces_.begin()->second;
        graces_.erase(graces_.begin());
        auto* batch = open_.find(uuid);
        if (!batch || batch->grace_ends != ends) continue;
        const bool gone = !batch->session.empty() && around_.credit.is_gone(batch->session);
        // Of a batch that had ended before its session was lost nobody has told this yet.
        batch->session_lost = batch->session_lost || gone;
        if (batch->reports_requested || batch->session.empty() || gone) {
            graces_over_.push_back(uuid);
            continue;
        }
        // First the outbox is asked; only what it cannot supply is a discrepancy.
        batch->reports_requested = true;
        batch->grace_ends = now + options_.reconcile_grace;
        remember_grace(*batch);
        std::vector<std::int64_t> missing;
        for (const auto& step : batch->steps) {
            if (!step.expected.reported && !step.expected.handed_back)
                missing.push_back(step.expected.step_id);
        }
        around_.publisher.request_reports(batch->session, uuid, std::move(missing));
    }
}

void Listener::remember_grace(const OpenBatch& batch) {
    if (batch.grace_ends) graces_.emplace(*batch.grace_ends, batch.batch_uuid);
}

// A time-out that is overdue by much shows that this process slept or was very late: the worker's report may
// wait unread, so it gets another lease.
void Listener::fire_time_outs(milliseconds now) {
    while (!time_outs_.empty() && time_outs_.begin()->first <= now) {
        auto entry = time_outs_.extract(time_outs_.begin());
        const auto* batch = open_.find(entry.mapped().first);
        if (!batch) continue;
        if (now - entry.key() > options_.suspect_after) {
            entry.key() = now + options_.lease;
            time_outs_.insert(std::move(entry));
            continue;
        }
        timed_out_.push_back(std::move(entry.mapped()));
    }
}

// Steps that end in time leave their entry behind; with time-outs of hours these would pile up.
void Listener::forget_time_outs() {
    if (time_outs_.size() < time_outs_compact_at_) return;
    std::erase_if(time_outs_, [&](const auto& entry) {
        auto* batch = open_.find(entry.second.first);
        const auto* step = batch ? batch->find_step(entry.second.second) : nullptr;
        return !step || step->is_settled();
    });
    time_outs_compact_at_ = std::max(kTimeOutsKept, 2 * time_outs_.size());
}

void Listener::watch_time(OpenBatch& batch) {
    if (core::is_terminal(batch.state)) return;
    for (auto& step : batch.steps) {
        if (step.timed || !step.started_at || step.is_settled()) continue;
        step.timed = true;
        time_outs_.emplace(*step.started_at + milliseconds(step.timeout_ms) + options_.timeout_grace,
                           std::pair(batch.batch_uuid, step.expected.step_id));
    }
}

// A plain worker says nothing about starts: a step's time counts from publishing plus the time-outs of the
// steps before it.
void Listener::watch_plain_time(OpenBatch& batch) {
    if (!batch.session.empty() || core::is_terminal(batch.state)) return;
    auto deadline = around_.clock.boot_time() + options_.timeout_grace;
    for (auto& step : batch.steps) {
        deadline += milliseconds(step.timeout_ms);
        if (std::exchange(step.timed, true) || step.is_settled()) continue;
        time_outs_.emplace(deadline, std::pair(batch.batch_uuid, step.expected.step_id));
    }
}

std::vector<std::string> Listener::batches_of(const std::string& session) const {
    std::vector<std::string> uuids;
    if (session.empty()) return uuids;
    for (const auto& [uuid, batch] : open_.all()) {
        if (batch.session == session && !core::is_terminal(batch.state)) uuids.push_back(uuid);
    }
    return uuids;
}

// Losses are told once; this finds what was missed, and sessions of an earlier life that never came back.
void Listener::look_for_gone_sessions() {
    std::set<std::string> sessions;
    for (const auto& [uuid, batch] : open_.all()) {
        if (!batch.session.empty() && !core::is_terminal(batch.state)) sessions.insert(batch.session);
    }
    for (const auto& session : sessions) {
        if (around_.credit.is_gone(session)) gone_sessions_.push_back(session);
    }
}

}  // namespace tasker::engine
