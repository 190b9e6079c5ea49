// What follows a committed turn: the listener's memory, its timers, and what io is told.
#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "orchestrator/engine/listener.hpp"
#include "orchestrator/util/crash_point.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;

namespace {

using std::chrono::milliseconds;

// How long to leave rows alone that are due and locked by somebody else.
constexpr milliseconds kDueAgain{20};

bool is_ended(const std::string& state) {
    const auto parsed = core::parse_task_state(state);
    return parsed && core::is_terminal(*parsed);
}

}  // namespace

void Listener::commit(TurnDraft& draft, const ports::TurnResult& result,
                      std::vector<core::CreditOffer>& offers) {
    const auto& input = draft.input();
    if (input.due) {
        due_now_ = false;
        const auto due_in = store_->next_due_in_ms();
        const auto wait = due_in && *due_in == 0 ? kDueAgain : milliseconds(due_in.value_or(0));
        due_at_ = due_in ? around_.clock.boot_time() + wait : milliseconds::max();
    }
    for (const auto& report : result.reports) {
        if (report.disposition == "applied") ++counters_.reports_applied;
        const auto& message = input.messages[report.index];
        if (report.new_state == "waiting_for_retry") {
            // Rounded up, so that the step is due when we look.
            const auto wait =
                milliseconds(static_cast<std::int64_t>(message.backoff_seconds.value_or(0) * 1000) + 1);
            due_at_ = std::min(due_at_, around_.clock.boot_time() + wait);
        }
    }
    note_orphans(draft, result);
    draft.note_granted(result.starts);
    tell_workers(draft, result);
    update_memory(draft);
    update_waiting(input, result, offers);
    publish_claims(input, result, offers);
    note_ended_tasks(result);
}

void Listener::update_memory(TurnDraft& draft) {
    if (own_work_included_) {
        unsent_.clear();
        graces_over_.clear();
        timed_out_.clear();
        gone_sessions_.clear();
    }
    std::vector<std::string> ended;
    for (auto& [uuid, batch] : draft.touched()) {
        if (core::is_terminal(batch.state)) ended.push_back(uuid);
        if (batch.is_over()) {
            open_.erase(uuid);
        } else {
            remember_grace(batch);
            watch_time(batch);
            open_.put(std::move(batch));
        }
    }
    if (!ended.empty()) around_.publisher.forget(std::move(ended));
    forget_time_outs();
    counters_.open_batches = static_cast<std::int64_t>(open_.size());
}

void Listener::note_orphans(const TurnDraft& draft, const ports::TurnResult& result) {
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
        if (judged.new_state == "waiting_for_retry") keys_.mark_waiting(judged.handler_key);
    }
    for (const auto& uuid : draft.alerts()) {
        ++counters_.discrepancies;
        const auto found = draft.touched().find(uuid);
        log::warning("partial results and completion of a batch do not agree; see tasker batch discrepancies",
                     {{"batch", uuid}, {"what", found->second.detail}});
    }
}

// After the commit: answers to start requests, and cancellations of what is over for the database.
void Listener::tell_workers(const TurnDraft& draft, const ports::TurnResult& result) {
    for (const auto& judged : result.starts) {
        auto answer = draft.starts()[judged.index];
        answer.refusal = judged.refusal;
        judged.refusal.empty() ? ++counters_.starts_granted : ++counters_.starts_denied;
        around_.publisher.answer_start(std::move(answer));
    }
    for (const auto& ended : draft.ended()) {
        if (around_.credit.is_gone(ended.session)) continue;
        around_.publisher.cancel_steps(ended.session, ended.batch_uuid, ended.steps, ended.reason, true);
    }
}

void Listener::update_waiting(const ports::TurnInput& input, const ports::TurnResult& result,
                              const std::vector<core::CreditOffer>& offers) {
    // A key's steps are claimed from the front. Where slots were left over, nothing waits any more.
    for (const auto& key : input.keys) {
        if (key.scan) keys_.note_scanned(key.handler_key, core::ReadyPosition::end());
    }
    std::map<std::int32_t, core::ReadyPosition> taken_up_to;
    for (const auto& claim : result.claims) {
        if (!claim.waited_at) continue;
        auto& last = taken_up_to[claim.handler_key];
        last = std::max(last, claim.waited_at->after());
    }
    for (const auto& waiting : result.keys_waiting) {
        const auto scanned = std::find_if(
            input.keys.begin(), input.keys.end(),
            [&](const ports::ClaimKey& key) { return key.scan && key.handler_key == waiting.handler_key; });
        auto from = waiting.from;
        if (scanned != input.keys.end())
            from = std::min(from, std::max(scanned->look_from, taken_up_to[waiting.handler_key]));
        keys_.mark_waiting(waiting.handler_key, from);
    }
    // A turn fills a bounded number of slots: with credit and work left, go on at once.
    look_again_ = !result.keys_waiting.empty() && result.claims.size() >= planner_.slots_max();
    if (!input.slots.empty()) planner_.note_claimed(result.claims.size());
    resting_keys_.clear();
    for (const auto key : result.keys_locked) {
        resting_keys_.insert(key);
        keys_.mark_waiting(key);
        locked_until_ = around_.clock.boot_time() + kDueAgain;
    }
    look_for_plain(input, result, offers);
}

// The plain worker gets slots for one key per turn, and none when no key was waiting.
void Listener::look_for_plain(const ports::TurnInput& input, const ports::TurnResult& result,
                              const std::vector<core::CreditOffer>& offers) {
    const bool offered = std::any_of(offers.begin(), offers.end(), [](const core::CreditOffer& offer) {
        return offer.batches_max == 1 && offer.free > 0;
    });
    if (!offered) return;
    const auto slot = std::find_if(input.slots.begin(), input.slots.end(), [&](const ports::ClaimSlots& it) {
        return input.sessions[static_cast<std::size_t>(it.session)].empty();
    });
    if (slot == input.slots.end()) {
        // What this turn made ready has to be looked at, since nothing else may come that would.
        look_again_ = look_again_ || !result.keys_waiting.empty();
        return;
    }
    // The one key that its slots went to had nothing for it: the next key may have. A key that still waits is
    // one whose steps somebody holds locked: asking at once would only spin.
    const auto profile = std::find_if(input.keys.begin(), input.keys.end(),
                                      [&](const auto& key) { return key.profile == slot->profile; });
    const bool claimed =
        std::any_of(result.claims.begin(), result.claims.end(),
                    [&](const ports::ClaimedStep& claim) { return claim.session == slot->session; });
    if (!claimed && profile->scan && !keys_.may_wait(profile->handler_key)) look_again_ = true;
}

void Listener::publish_claims(const ports::TurnInput& input, const ports::TurnResult& result,
                              std::vector<core::CreditOffer>& offers) {
    if (result.claims.empty()) {
        look_again_ = settle(offers, {}) || look_again_;
        return;
    }
    const bool unknown_key = std::any_of(result.claims.begin(), result.claims.end(),
                                         [&](const auto& claim) { return !keys_.knows(claim.handler_key); });
    if (unknown_key) keys_.replace(store_->load_handler_keys());
    auto built = requests_->build(*store_, result.claims, input.sessions, keys_);
    std::map<std::string_view, std::int32_t> keys_of;
    for (const auto& open : built.open) keys_of.emplace(open.batch_uuid, open.handler_key);
    std::vector<core::TakenBatch> taken;
    taken.reserve(built.outbound.size());
    for (const auto& batch : built.outbound) {
        core::TakenBatch take;
        take.batch_uuid = batch.batch_uuid;
        take.session = batch.session;
        if (const auto key = keys_of.find(batch.batch_uuid); key != keys_of.end())
            take.handler_class = keys_.get(key->second).handler_class;
        take.step_ids.reserve(batch.steps.size());
        for (const auto& step : batch.steps) take.step_ids.push_back(step.step_id);
        taken.push_back(std::move(take));
    }
    for (auto& open : built.open) {
        watch_plain_time(open);
        open.claimed_at = around_.clock.boot_time();
        open_.put(std::move(open));
    }
    unsent_.insert(unsent_.end(), built.unsent.begin(), built.unsent.end());
    counters_.steps_claimed += static_cast<std::int64_t>(result.claims.size());
    counters_.open_batches = static_cast<std::int64_t>(open_.size());
    look_again_ = settle(offers, std::move(taken)) || look_again_;
    util::crash_point("before_publish");
    around_.publisher.publish(std::move(built.outbound));
}

void Listener::note_ended_tasks(const ports::TurnResult& result) {
    std::vector<std::int64_t> ended;
    for (const auto& task : result.tasks) {
        if (is_ended(task.state) && !task.notified) ended.push_back(task.task_id);
    }
    if (!ended.empty()) around_.tasks_ended(std::move(ended));
}

}  // namespace tasker::engine
