#include "orchestrator/engine/turns/turn_effects.hpp"

#include "orchestrator/core/states.hpp"
#include "orchestrator/util/crash_point.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;

namespace {

bool is_ended(const std::string& state) {
    const auto parsed = core::parse_task_state(state);
    return parsed && core::is_terminal(*parsed);
}

}  // namespace

void TurnEffects::on_committed(const TurnDraft& draft, const ports::TurnResult& result) {
    for (const auto& report : result.reports) {
        if (report.disposition == "applied") ++counters_.reports_applied;
    }
    counters_.steps_claimed += static_cast<std::int64_t>(result.claims.size());
    record_losses(draft, result);
    answer_starts(draft, result);
    cancel_ended(draft);
}

void TurnEffects::record_losses(const TurnDraft& draft, const ports::TurnResult& result) {
    const auto& input = draft.input();
    counters_.hand_backs += static_cast<std::int64_t>(input.hand_backs.size());
    counters_.orphans += static_cast<std::int64_t>(input.orphans.size());
    for (const auto& judged : result.orphans) {
        const auto& orphan = input.orphans[judged.index];
        log::warning("a step is orphaned", {{"step_id", orphan.step_id},
                                            {"task_id", orphan.task_id},
                                            {"attempt", orphan.attempt},
                                            {"cause", orphan.reason},
                                            {"becomes", judged.new_state}});
    }
    for (const auto& it : draft.broken()) {
        log::warning("a worker has broken its word about a step", {{"session", it.session},
                                                                   {"batch", it.batch_uuid},
                                                                   {"step_id", it.step_id},
                                                                   {"fault", core::to_text(it.fault)}});
        publisher_.send(ports::RecordFault{it.session, it.fault});
    }
    for (const auto& uuid : draft.alerts()) {
        ++counters_.discrepancies;
        const auto found = draft.touched().find(uuid);
        log::warning("partial results and completion of a batch do not agree; see tasker batch discrepancies",
                     {{"batch", uuid}, {"what", found->second.detail}});
    }
}

void TurnEffects::answer_starts(const TurnDraft& draft, const ports::TurnResult& result) {
    for (const auto& judged : result.starts) {
        auto answer = draft.starts()[judged.index];
        answer.refusal = judged.refusal;
        judged.refusal.empty() ? ++counters_.starts_granted : ++counters_.starts_denied;
        publisher_.send(std::move(answer));
    }
}

void TurnEffects::cancel_ended(const TurnDraft& draft) {
    for (const auto& ended : draft.ended()) {
        if (credit_.is_gone(ended.session) && !credit_.may_return(ended.session)) continue;
        publisher_.send(
            ports::CancelSteps{ended.session, ended.batch_uuid, ended.steps, ended.reason, /*ended=*/true});
    }
}

void TurnEffects::announce_ended_tasks(const ports::TurnResult& result) {
    std::vector<std::int64_t> ended;
    for (const auto& task : result.tasks) {
        if (is_ended(task.state) && !task.notified) ended.push_back(task.task_id);
    }
    if (!ended.empty()) tasks_ended_(std::move(ended));
}

void TurnEffects::on_recorded(const TurnDraft& draft) {
    counters_.messages_rejected += static_cast<std::int64_t>(draft.rejected().size());
    for (const auto& refused : draft.refused_starts()) {
        ++counters_.starts_denied;
        publisher_.send(refused);
    }
    for (const auto& held : draft.unstarted()) {
        publisher_.send(
            ports::CancelSteps{held.session, held.batch_uuid, held.steps, held.reason, /*ended=*/false});
        publisher_.send(ports::SuspectSession{held.session});
    }
    for (const auto& reopened : draft.reopened()) publisher_.send(reopened);
    if (!draft.input().messages.empty()) util::crash_point("before_ack");
    publisher_.send(ports::Acknowledge{draft.acks()});
}

}  // namespace tasker::engine
