// Deliveries that end without a report, and starts that are asked for.
#include <algorithm>
#include <utility>

#include "orchestrator/engine/turn_draft.hpp"

namespace tasker::engine {
namespace {

constexpr std::chrono::milliseconds kMayBeUndelivered{100};

}  // namespace

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
    if (step.claim_first && !step.granted && !batch.session.empty()) {
        hand_back_step(batch, step, "never_granted");
        return;
    }
    step.expected.orphaned = true;
    input_.orphans.push_back({batch.batch_id, step.expected.step_id, step.task_id, step.attempt, reason});
}

void TurnDraft::apply_losses() {
    for (const auto& loss : losses_) {
        if (const auto* lost = std::get_if<ports::SessionLost>(&loss)) {
            for (const auto& uuid : context_.batches_of(lost->session)) {
                auto* batch = touch(uuid);
                // Claimed while its session was being lost: io may still say that it never left. If not, the
                // next scan finds it.
                if (!batch || (!lost->drained && batch->claimed_at &&
                               context_.now - *batch->claimed_at < kMayBeUndelivered)) {
                    continue;
                }
                batch->session_lost = true;
                for (auto& step : batch->steps) {
                    if (lost->drained) {
                        hand_back_step(*batch, step, "drained");
                    } else {
                        end_delivery(*batch, step, "session_lost");
                    }
                }
            }
        } else if (const auto* ignored = std::get_if<ports::NotAccepted>(&loss)) {
            auto* batch = touch(ignored->batch_uuid);
            // A report or an acceptance that came meanwhile shows that it has the batch after all.
            if (!batch || batch->session != ignored->session || batch->accepted || progress_of(*batch).life) {
                continue;
            }
            for (auto& step : batch->steps) end_delivery(*batch, step, "not_accepted");
        } else if (const auto* absent = std::get_if<ports::StepsAbsent>(&loss)) {
            auto* batch = touch(absent->batch_uuid);
            if (!batch || batch->session != absent->session) continue;
            for (const auto step_id : absent->step_ids) {
                if (auto* step = batch->find_step(step_id)) end_delivery(*batch, *step, "absent");
            }
        }
    }
    losses_.clear();
}

void TurnDraft::receive_held(const ports::HeldTooLong& held) {
    auto* batch = touch(held.batch_uuid);
    auto* step = batch && batch->session == held.session ? batch->find_step(held.step_id) : nullptr;
    // One that waits for its grant is held by right: it is the database that was slow.
    if (!step || step->is_settled() || (step->claim_first && !step->granted)) return;
    if (held.again) {
        end_delivery(*batch, *step, "held_unstarted");
    } else {
        unstarted_.push_back(
            {held.session, held.batch_uuid, {{held.step_id, step->attempt}}, "held_unstarted"});
    }
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

void TurnDraft::note_granted(const std::vector<ports::JudgedStart>& judged) {
    for (const auto& start : judged) {
        const auto& answer = starts_[start.index];
        auto* step = touched_.at(answer.batch_uuid).find_step(answer.step_id);
        if (start.refusal.empty() && step) step->granted = true;
    }
}

}  // namespace tasker::engine
