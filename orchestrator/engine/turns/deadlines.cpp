#include "orchestrator/engine/turns/deadlines.hpp"

#include <algorithm>
#include <utility>

namespace tasker::engine {

using std::chrono::milliseconds;

void Deadlines::forget_batches() {
    graces_.clear();
    time_outs_.clear();
}

void Deadlines::watch_grace(OpenBatch& batch) {
    if (!batch.grace_ends || batch.grace_watched == batch.grace_ends) return;
    batch.grace_watched = batch.grace_ends;
    graces_.emplace(*batch.grace_ends, batch.batch_uuid);
}

void Deadlines::watch_started(OpenBatch& batch) {
    if (core::is_terminal(batch.state)) return;
    for (auto& step : batch.steps) {
        if (step.timed || !step.started_at || step.is_settled()) continue;
        step.timed = true;
        time_outs_.emplace(*step.started_at + milliseconds(step.timeout_ms) + options_.timers.timeout_grace,
                           TimedStep{batch.batch_uuid, step.expected.step_id});
    }
}

void Deadlines::watch_plain(OpenBatch& batch, milliseconds now) {
    if (!batch.session.empty() || core::is_terminal(batch.state)) return;
    const auto last = now + options_.delivery.result_timeout;
    auto deadline = now + options_.timers.timeout_grace;
    for (auto& step : batch.steps) {
        deadline += milliseconds(step.timeout_ms);
        if (std::exchange(step.timed, true) || step.is_settled()) continue;
        time_outs_.emplace(std::min(deadline, last), TimedStep{batch.batch_uuid, step.expected.step_id});
    }
}

void Deadlines::resume(OpenBatch& batch, const ports::StoredBatch& stored, milliseconds now) {
    for (std::size_t i = 0; i < batch.steps.size(); ++i) {
        auto& step = batch.steps[i];
        if (!step.started) continue;
        const auto allowed = milliseconds(step.timeout_ms) + options_.timers.timeout_grace;
        step.started_at = std::max(now - milliseconds(stored.steps[i].started_ms_ago),
                                   now + options_.timers.lease - allowed);
    }
    watch_plain(batch, now);
    watch_started(batch);
}

DueNow Deadlines::take_due(milliseconds now, BatchBook& batches) {
    DueNow due;
    if (now >= full_scan_at_) {
        due.full_scan = true;
        restart_full_scan(now);
    }
    if (now >= locked_until_) {
        due.locked_keys = true;
        locked_until_ = milliseconds::max();
    }
    if (now >= retry_at_) {
        due.retries = true;
        retry_at_ = milliseconds::max();
    }
    take_graces(now, batches, due);
    take_time_outs(now, batches, due);
    return due;
}

void Deadlines::take_graces(milliseconds now, BatchBook& batches, DueNow& due) {
    while (!graces_.empty() && graces_.begin()->first <= now) {
        auto entry = graces_.extract(graces_.begin());
        const auto* batch = batches.find(entry.mapped());
        if (batch && batch->grace_ends == entry.key()) due.graces.push_back(std::move(entry.mapped()));
    }
}

void Deadlines::take_time_outs(milliseconds now, BatchBook& batches, DueNow& due) {
    while (!time_outs_.empty() && time_outs_.begin()->first <= now) {
        auto entry = time_outs_.extract(time_outs_.begin());
        if (!batches.find(entry.mapped().batch_uuid)) continue;
        if (now - entry.key() > options_.timers.suspect_after) {
            entry.key() = now + options_.timers.lease;
            time_outs_.insert(std::move(entry));
            continue;
        }
        due.time_outs.push_back(std::move(entry.mapped()));
    }
}

void Deadlines::compact(BatchBook& batches) {
    if (time_outs_.size() < compact_at_) return;
    std::erase_if(time_outs_, [&](const auto& entry) {
        auto* batch = batches.find(entry.second.batch_uuid);
        const auto* step = batch ? batch->find_step(entry.second.step_id) : nullptr;
        return !step || step->is_settled();
    });
    compact_at_ = std::max(kTimeOutsKept, 2 * time_outs_.size());
}

milliseconds Deadlines::next() const {
    auto next = std::min({retry_at_, full_scan_at_, locked_until_});
    if (!time_outs_.empty()) next = std::min(next, time_outs_.begin()->first);
    if (!graces_.empty()) next = std::min(next, graces_.begin()->first);
    return std::max(milliseconds(0), next);
}

}  // namespace tasker::engine
