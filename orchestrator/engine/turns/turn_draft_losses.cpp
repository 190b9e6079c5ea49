// What a draft makes of deliveries that end without a report, and of starts that are asked for.
#include <algorithm>
#include <utility>

#include "orchestrator/core/retry_policy.hpp"
#include "orchestrator/engine/turns/report_facts.hpp"
#include "orchestrator/engine/turns/turn_draft.hpp"

namespace tasker::engine {
namespace {

constexpr std::chrono::milliseconds kMayBeUndelivered{100};
constexpr std::chrono::milliseconds kFreshEvidence{3000};
// A worker repeats its question each second.
constexpr std::chrono::milliseconds kAsksByRight{10'000};

// It had to ask before it started, and was never granted nor seen to run.
bool is_proven_unstarted(const OpenBatch& batch, const OpenStep& step) {
    return batch.lacks_grant(step) && !step.started;
}

}  // namespace

// ---------------------------------------------------------------- deliveries that end without a report

void TurnDraft::hand_back_step(const OpenBatch& batch, OpenStep& step, const std::string& reason,
                               const std::string& cause) {
    if (step.is_settled()) return;
    step.expected.handed_back = true;
    if (step.started) {
        step.expected.broken_promise = true;
        broken_.push_back(
            {batch.session, batch.batch_uuid, step.expected.step_id, core::SessionFault::broken_promise});
    }
    input_.hand_backs.push_back(
        {batch.batch_id, step.expected.step_id, step.task_id, step.attempt, reason, cause});
}

void TurnDraft::snooze_step(const OpenBatch& batch, OpenStep& step, const protocol::RejectedStep& rejected) {
    if (step.is_settled()) return;
    judge_start(batch, step);
    step.expected.handed_back = true;
    input_.snoozes.push_back({batch.batch_id, step.expected.step_id, step.task_id, step.attempt,
                              core::snooze_seconds(rejected.wait_seconds.value_or(0)), step.max_snoozes,
                              rejected.message.value_or("")});
}

void TurnDraft::withdraw_hand_back(const OpenBatch& batch, OpenStep& step) {
    const auto is_this = [&](const auto& it) {
        return it.batch_id == batch.batch_id && it.step_id == step.expected.step_id &&
               it.attempt == step.attempt;
    };
    const auto withdrawn = std::erase_if(input_.hand_backs, is_this) + std::erase_if(input_.snoozes, is_this);
    if (withdrawn != 0) step.expected.handed_back = false;
}

void TurnDraft::receive_undelivered(const ports::Undelivered& undelivered) {
    auto* batch = touch(undelivered.batch_uuid);
    if (!batch || batch->session != undelivered.session) return;
    for (auto& step : batch->steps) hand_back_step(*batch, step, "undelivered");
}

void TurnDraft::hand_back(const std::string& batch_uuid, std::int64_t step_id, const std::string& reason,
                          const std::string& cause) {
    auto* batch = touch(batch_uuid);
    auto* step = batch ? batch->find_step(step_id) : nullptr;
    if (step) hand_back_step(*batch, *step, reason, cause);
}

void TurnDraft::time_out(const std::string& batch_uuid, std::int64_t step_id) {
    auto* batch = touch(batch_uuid);
    auto* step = batch ? batch->find_step(step_id) : nullptr;
    if (step) end_delivery(*batch, *step, "timed_out");
}

void TurnDraft::lose_session(const ports::SessionLost& loss) {
    losses_.emplace_back(loss);
}

// The delivery is over without a report. Never granted is proof that the step was never started.
void TurnDraft::end_delivery(OpenBatch& batch, OpenStep& step, const std::string& reason) {
    if (step.is_settled()) return;
    if (!batch.session.empty()) {
        if (ended_.empty() || ended_.back().batch_uuid != batch.batch_uuid || ended_.back().reason != reason)
            ended_.push_back({batch.session, batch.batch_uuid, {}, reason});
        ended_.back().steps.push_back({step.expected.step_id, step.attempt});
    }
    const bool try_alone = reason == "not_accepted" && batch.steps.size() > 1;
    if (is_proven_unstarted(batch, step)) {
        hand_back_step(batch, step, try_alone ? reason : "never_granted");
        return;
    }
    orphan(batch, step, reason, try_alone);
}

void TurnDraft::orphan(OpenBatch& batch, OpenStep& step, const std::string& reason, bool try_alone) {
    step.expected.orphaned = true;
    input_.orphans.push_back(
        {batch.batch_id, step.expected.step_id, step.task_id, step.attempt, reason, try_alone});
}

void TurnDraft::apply_losses() {
    for (const auto& loss : losses_) {
        std::visit([this](const auto& it) { apply(it); }, loss);
    }
    losses_.clear();
}

void TurnDraft::apply(const ports::SessionLost& loss) {
    for (const auto& uuid : context_.batches_of(loss.session)) {
        auto* batch = touch(uuid);
        // Claimed while its session was being lost: io may still post Undelivered. If not, the next
        // scan finds it.
        if (!batch ||
            (!loss.drained && batch->claimed_at && context_.now - *batch->claimed_at < kMayBeUndelivered)) {
            continue;
        }
        const bool may_return = !loss.drained && context_.may_return && context_.may_return(loss.session);
        if (!may_return) batch->session_lost = true;
        for (auto& step : batch->steps) {
            if (loss.drained) {
                hand_back_step(*batch, step, "drained");
            } else if (!may_return || !step.waits_for_lease || is_proven_unstarted(*batch, step)) {
                end_delivery(*batch, step, "session_lost");
                batch->session_lost = true;
            }
        }
    }
}

void TurnDraft::apply(const ports::NotAccepted& loss) {
    auto* batch = touch(loss.batch_uuid);
    // A report or an acceptance that came meanwhile shows that it has the batch after all.
    if (!batch || batch->session != loss.session || batch->accepted || progress_of(*batch).life) return;
    for (auto& step : batch->steps) end_delivery(*batch, step, "not_accepted");
}

void TurnDraft::apply(const ports::StepsAbsent& loss) {
    auto* batch = touch(loss.batch_uuid);
    if (!batch || batch->session != loss.session) return;
    for (const auto step_id : loss.step_ids) {
        auto* step = batch->find_step(step_id);
        if (step == nullptr) continue;
        // It says that the step has ended: without a grant that is no proof that it never started.
        if (loss.withheld && !step->is_settled()) {
            ended_.push_back({batch->session, batch->batch_uuid, {{step_id, step->attempt}}, "not_reported"});
            orphan(*batch, *step, "not_reported");
        } else {
            end_delivery(*batch, *step, "absent");
        }
    }
}

void TurnDraft::receive_held(const ports::HeldTooLong& held) {
    auto* batch = touch(held.batch_uuid);
    auto* step = batch && batch->session == held.session ? batch->find_step(held.step_id) : nullptr;
    if (!step || step->is_settled()) return;
    // What was seen long ago waited here, perhaps for the database: so did the worker.
    if (held.at && context_.now - *held.at > kFreshEvidence) return;
    // One that asks for its grant is held by right: it is the database that was slow.
    if (batch->lacks_grant(*step) && step->asked_at && context_.now - *step->asked_at < kAsksByRight) return;
    if (held.again && step->called_in) {
        end_delivery(*batch, *step, "held_unstarted");
    } else {
        step->called_in = true;
        unstarted_.push_back(
            {held.session, held.batch_uuid, {{held.step_id, step->attempt}}, "held_unstarted"});
    }
}

// ---------------------------------------------------------------- starts

void TurnDraft::receive_running(const ports::StepRunning& running) {
    auto* batch = touch(running.batch_uuid);
    auto* step = batch ? batch->find_step(running.step_id) : nullptr;
    // A batch holds one attempt of a step, so a wrong number does not keep its clock from running.
    if (!step || step->started) return;
    const auto age = plausible_age(running.age_ms);
    step->started = true;
    step->started_at = context_.now - age;
    progress_of(*batch).life = true;
    judge_start(*batch, *step);
    input_.running.push_back({batch->batch_id, running.step_id, age.count()});
}

void TurnDraft::receive_start(const ports::StartRequested& request) {
    ports::StartAnswer answer{request.session, request.batch_uuid, request.step_id,
                              request.attempt, request.n,          ""};
    auto* batch = touch(request.batch_uuid);
    auto* step = batch && batch->session == request.session ? batch->find_step(request.step_id) : nullptr;
    if (!step || step->attempt != request.attempt || step->is_settled()) {
        answer.refusal = step ? "ended" : "unknown_step";
        refused_starts_.push_back(std::move(answer));
        return;
    }
    progress_of(*batch).life = true;
    step->asked_at = context_.now;
    // Asked several times before it was answered: the latest question counts.
    for (std::size_t i = 0; i < starts_.size(); ++i) {
        if (starts_[i].batch_uuid == request.batch_uuid && starts_[i].step_id == request.step_id) {
            starts_[i].n = std::max(starts_[i].n, request.n);
            return;
        }
    }
    input_.starts.push_back({batch->batch_id, request.step_id, step->task_id, request.attempt});
    starts_.push_back(std::move(answer));
}

void TurnDraft::record_granted(const std::vector<ports::JudgedStart>& judged) {
    for (const auto& start : judged) {
        const auto& answer = starts_[start.index];
        auto* step = touched_.at(answer.batch_uuid).find_step(answer.step_id);
        if (start.refusal.empty() && step) step->granted = true;
    }
}

}  // namespace tasker::engine
