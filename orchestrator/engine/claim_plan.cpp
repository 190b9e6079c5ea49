#include "orchestrator/engine/claim_plan.hpp"

#include <algorithm>
#include <map>

#include "orchestrator/core/slots.hpp"

namespace tasker::engine {

const std::vector<std::int32_t>& ClaimPlanner::served_by(const std::string& session,
                                                         ports::CreditPool& credit, const HandlerKeys& keys) {
    const auto known = served_.find(session);
    if (known != served_.end()) return known->second;
    std::vector<std::int32_t> served;
    for (const auto& key : keys.all()) {
        if (credit.serves(session, key.namespace_name, key.handler_class)) served.push_back(key.handler_key);
    }
    return served_.emplace(session, std::move(served)).first->second;
}

// A plain worker has one open batch, and a batch has one key: take the keys that may have work in turn.
std::int32_t ClaimPlanner::next_plain_key(const std::vector<std::int32_t>& served, const HandlerKeys& keys) {
    for (std::size_t i = 0; i < served.size(); ++i) {
        const auto key = served[(plain_turn_ + i) % served.size()];
        if (!keys.may_wait(key)) continue;
        plain_turn_ = (plain_turn_ + i + 1) % served.size();
        return key;
    }
    return 0;
}

bool ClaimPlanner::plan(const std::vector<core::CreditOffer>& offers, ports::CreditPool& credit,
                        const HandlerKeys& keys, ports::TurnInput& input) {
    std::map<std::vector<std::int32_t>, std::vector<std::size_t>> profiles;
    for (std::size_t i = 0; i < offers.size(); ++i) {
        if (offers[i].free == 0) continue;
        auto served = served_by(offers[i].session, credit, keys);
        if (offers[i].batches_max == 1 && !served.empty()) {
            const auto key = next_plain_key(served, keys);
            if (key == 0) continue;
            served = {key};
        }
        if (!served.empty()) profiles[served].push_back(i);
    }
    input.sessions.clear();
    for (const auto& offer : offers) input.sessions.push_back(offer.session);
    // Offers of nothing come last; the turn need not hear of them.
    for (auto i = offers.size(); i > 0 && offers[i - 1].free == 0; --i) input.sessions.pop_back();

    bool looks_at_waiting = false;
    int profile = 1;
    for (const auto& [served, members] : profiles) {
        std::vector<core::SessionCredit> credits;
        for (const auto index : members) {
            // One batch, whatever the credit: the plain worker never has two.
            const auto free = offers[index].batches_max == 1 ? std::min(offers[index].free, input.batch_size)
                                                             : offers[index].free;
            credits.push_back({free, offers[index].in_flight, offers[index].capacity});
        }
        const auto slots = core::slot_order(std::move(credits), input.batch_size, slots_max_);
        if (slots.empty()) continue;
        for (const auto slot : slots) {
            const int session = static_cast<int>(members[slot]);
            auto* last = input.slots.empty() ? nullptr : &input.slots.back();
            if (last && last->profile == profile && last->session == session) {
                ++last->length;
            } else {
                input.slots.push_back({profile, session, 1});
            }
        }
        for (const auto key : served) {
            const bool scan = keys.may_wait(key);
            looks_at_waiting = looks_at_waiting || scan;
            input.keys.push_back({profile, key, scan, keys.look_from(key)});
        }
        ++profile;
    }
    return looks_at_waiting;
}

void ClaimPlanner::mark_wanted(std::vector<core::CreditOffer>& offers, ports::CreditPool& credit,
                               const HandlerKeys& keys, const std::set<std::int32_t>& resting) {
    if (!keys.any_waiting()) return;
    for (auto& offer : offers) {
        const auto& served = served_by(offer.session, credit, keys);
        offer.wanted = std::any_of(served.begin(), served.end(), [&](std::int32_t key) {
            return keys.may_wait(key) && !resting.contains(key);
        });
    }
}

}  // namespace tasker::engine
