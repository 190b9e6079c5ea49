#include "orchestrator/engine/turns/claims.hpp"

#include <algorithm>
#include <map>

namespace tasker::engine {

bool Claims::update(const ports::TurnInput& input, const ports::TurnResult& result,
                    const std::vector<core::CreditOffer>& offers) {
    mark_what_waits(input, result);
    // A turn fills a bounded number of slots: with credit and work left, go on at once.
    looks_again_ =
        result.is_full || (!result.keys_waiting.empty() && result.claims.size() >= planner_.slots_max());
    if (!input.slots.empty()) planner_.record_claimed(result.claims.size());
    locked_.clear();
    for (const auto key : result.keys_locked) {
        locked_.insert(key);
        keys_.mark_waiting(key);
    }
    look_for_plain(input, result, offers);
    return !locked_.empty();
}

void Claims::mark_what_waits(const ports::TurnInput& input, const ports::TurnResult& result) {
    // A key's steps are claimed from the front. Where slots were left over, nothing waits any more.
    for (const auto& key : input.keys) {
        if (key.scan) keys_.record_scanned(key.handler_key, core::ReadyPosition::end());
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
}

// The plain worker gets slots for one key per turn, and none when no key was waiting.
void Claims::look_for_plain(const ports::TurnInput& input, const ports::TurnResult& result,
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
        looks_again_ = looks_again_ || !result.keys_waiting.empty();
        return;
    }
    // The one key that its slots went to had nothing for it: the next key may have. A key that still waits is
    // one whose steps somebody holds locked: asking at once would only spin.
    const auto profile = std::find_if(input.keys.begin(), input.keys.end(),
                                      [&](const auto& key) { return key.profile == slot->profile; });
    const bool claimed =
        std::any_of(result.claims.begin(), result.claims.end(),
                    [&](const ports::ClaimedStep& claim) { return claim.session == slot->session; });
    if (!claimed && profile->scan && !keys_.may_wait(profile->handler_key)) looks_again_ = true;
}

void Claims::settle(std::vector<core::CreditOffer>& offers, std::vector<core::TakenBatch> taken) {
    planner_.mark_wanted(offers, credit_, keys_, locked_, suspects_);
    const bool more = credit_.settle(lane_, offers, std::move(taken));
    looks_again_ = looks_again_ || more;
}

std::vector<core::TakenBatch> taken_by(const std::vector<ports::OutboundBatch>& batches) {
    std::vector<core::TakenBatch> taken;
    taken.reserve(batches.size());
    for (const auto& batch : batches) {
        core::TakenBatch take;
        take.batch_uuid = batch.batch_uuid;
        take.session = batch.session;
        take.handler_class = batch.handler_class;
        take.step_ids.reserve(batch.steps.size());
        for (const auto& step : batch.steps) take.step_ids.push_back(step.step_id);
        taken.push_back(std::move(take));
    }
    return taken;
}

}  // namespace tasker::engine
