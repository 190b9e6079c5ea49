#include "orchestrator/engine/claim_plan.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "orchestrator/core/slots.hpp"

namespace tasker::engine {

std::size_t ClaimPlanner::served_by(std::string_view session, ports::CreditPool& credit,
                                    const HandlerKeys& keys) {
    const auto known = served_.find(session);
    if (known != served_.end()) return known->second;
    Keys served;
    for (const auto& key : keys.all()) {
        if (credit.serves(session, key.namespace_name, key.handler_class)) served.push_back(key.handler_key);
    }
    const auto same = std::find(sets_.begin(), sets_.end(), served);
    const auto place = static_cast<std::size_t>(same - sets_.begin());
    if (same == sets_.end()) sets_.push_back(std::move(served));
    served_.emplace(std::string(session), place);
    return place;
}

void ClaimPlanner::find_sets(const std::vector<core::CreditOffer>& offers, ports::CreditPool& credit,
                             const HandlerKeys& keys) {
    offered_.clear();
    offered_.reserve(offers.size());
    for (const auto& offer : offers) offered_.push_back(served_by(offer.session, credit, keys));
}

// A plain worker has one open batch, and a batch has one key: take the keys that may have work in turn.
std::optional<std::int32_t> ClaimPlanner::next_plain_key(const Keys& served, const HandlerKeys& keys) {
    for (std::size_t i = 0; i < served.size(); ++i) {
        const auto key = served[(plain_turn_ + i) % served.size()];
        if (!keys.may_wait(key)) continue;
        plain_turn_ = (plain_turn_ + i + 1) % served.size();
        return key;
    }
    return std::nullopt;
}

// Who gets which slots; the turn hears only of sessions that get some.
void ClaimPlanner::add_profile(const std::vector<core::CreditOffer>& offers,
                               const std::vector<std::size_t>& members, int profile,
                               ports::TurnInput& input) {
    std::vector<core::SessionCredit> credits;
    credits.reserve(members.size());
    for (const auto index : members) {
        const auto& offer = offers[index];
        // One batch, whatever the credit: the plain worker never has two.
        const auto free = offer.batches_max == 1 ? std::min(offer.free, input.batch_size) : offer.free;
        credits.push_back({free, offer.in_flight, offer.capacity});
    }
    std::vector<int> places(members.size(), -1);
    for (const auto slot : core::slot_order(std::move(credits), input.batch_size, slots_max_)) {
        int& place = places[slot];
        if (place < 0) {
            place = static_cast<int>(input.sessions.size());
            input.sessions.emplace_back(offers[members[slot]].session);
        }
        auto* last = input.slots.empty() ? nullptr : &input.slots.back();
        if (last && last->profile == profile && last->session == place) {
            ++last->length;
        } else {
            input.slots.push_back({profile, place, 1});
        }
    }
}

bool ClaimPlanner::plan(const std::vector<core::CreditOffer>& offers, ports::CreditPool& credit,
                        const HandlerKeys& keys, ports::TurnInput& input) {
    std::vector<std::vector<std::size_t>> members;  // by set
    std::optional<std::size_t> plain;
    find_sets(offers, credit, keys);
    for (std::size_t i = 0; i < offers.size(); ++i) {
        const auto set = offered_[i];
        if (offers[i].free == 0 || sets_[set].empty()) continue;
        if (offers[i].batches_max == 1) {
            plain = i;
            continue;
        }
        if (members.size() <= set) members.resize(set + 1);
        members[set].push_back(i);
    }
    // In the order of their keys, which tasker_next_claims knows too.
    std::map<Keys, std::vector<std::size_t>> profiles;
    for (std::size_t set = 0; set < members.size(); ++set) {
        if (!members[set].empty()) profiles.emplace(sets_[set], std::move(members[set]));
    }
    if (plain) {
        const auto key = next_plain_key(sets_[offered_[*plain]], keys);
        if (key) profiles[{*key}].push_back(*plain);
    }
    input.sessions.clear();
    bool looks_at_waiting = false;
    int profile = 0;
    for (const auto& [served, group] : profiles) {
        add_profile(offers, group, ++profile, input);
        const auto& first = keys.get(served.front()).namespace_name;
        const bool one_namespace = std::all_of(served.begin(), served.end(), [&](std::int32_t key) {
            return keys.get(key).namespace_name == first;
        });
        for (const auto key : served) {
            const bool scan = keys.may_wait(key);
            looks_at_waiting = looks_at_waiting || scan;
            input.keys.push_back({profile, key, scan, keys.look_from(key), one_namespace});
        }
    }
    return looks_at_waiting;
}

void ClaimPlanner::mark_wanted(std::vector<core::CreditOffer>& offers, ports::CreditPool& credit,
                               const HandlerKeys& keys, const std::set<std::int32_t>& resting) {
    if (offered_.size() != offers.size()) find_sets(offers, credit, keys);
    const auto sets = std::exchange(offered_, {});
    if (!keys.any_waiting()) return;
    std::vector<std::optional<bool>> wanted(sets_.size());
    for (std::size_t i = 0; i < offers.size(); ++i) {
        const auto set = sets[i];
        if (!wanted[set]) {
            wanted[set] = std::any_of(sets_[set].begin(), sets_[set].end(), [&](std::int32_t key) {
                return keys.may_wait(key) && !resting.contains(key);
            });
        }
        offers[i].wanted = *wanted[set];
    }
}

}  // namespace tasker::engine
