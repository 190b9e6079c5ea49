#include "orchestrator/engine/turns/claim_plan.hpp"

#include <algorithm>
#include <iterator>
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

// Fills slots in the order of core/slots; the turn names only sessions that get some.
void ClaimPlanner::add_profile(const std::vector<core::CreditOffer>& offers,
                               const std::vector<std::size_t>& members, int profile, std::size_t slots_max,
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
    for (const auto slot : core::slot_order(std::move(credits), input.batch_size, slots_max)) {
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

ClaimPlanner::Keys ClaimPlanner::allowed(const Keys& served, const ClaimChoice& choice) {
    if (choice.allows_all()) return served;
    Keys keys;
    std::copy_if(served.begin(), served.end(), std::back_inserter(keys),
                 [&](std::int32_t key) { return choice.allows(key); });
    return keys;
}

bool ClaimPlanner::plan(const std::vector<core::CreditOffer>& offers, ports::CreditPool& credit,
                        const HandlerKeys& keys, ports::TurnInput& input, const ClaimChoice& choice) {
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
        if (members[set].empty()) continue;
        auto& group = profiles[allowed(sets_[set], choice)];
        group.insert(group.end(), members[set].begin(), members[set].end());
    }
    if (plain) {
        const auto key = next_plain_key(allowed(sets_[offered_[*plain]], choice), keys);
        if (key) profiles[{*key}].push_back(*plain);
    }
    input.sessions.clear();
    bool looks_at_waiting = false;
    int profile = 0;
    const auto slots_max = choice.trial ? choice.trial->slots : slots_max_;
    for (const auto& [served, group] : profiles) {
        if (served.empty() || (choice.trial && profile == 1)) continue;
        add_profile(offers, group, ++profile, slots_max, input);
        const auto& first = keys.get(served.front()).namespace_name;
        const bool one_namespace = std::all_of(served.begin(), served.end(), [&](std::int32_t key) {
            return keys.get(key).namespace_name == first;
        });
        for (const auto key : served) {
            const bool scan = keys.may_wait(key) || choice.trial;
            looks_at_waiting = looks_at_waiting || scan;
            input.keys.push_back({profile, key, scan, keys.look_from(key), one_namespace});
        }
    }
    return looks_at_waiting;
}

void ClaimPlanner::mark_wanted(std::vector<core::CreditOffer>& offers, ports::CreditPool& credit,
                               const HandlerKeys& keys, const std::set<std::int32_t>& locked,
                               const SuspectKeys& suspects) {
    if (offered_.size() != offers.size()) find_sets(offers, credit, keys);
    const auto sets = std::exchange(offered_, {});
    if (!keys.any_waiting()) return;
    std::vector<std::optional<bool>> wanted(sets_.size());
    for (std::size_t i = 0; i < offers.size(); ++i) {
        const auto set = sets[i];
        if (!wanted[set]) {
            wanted[set] = std::any_of(sets_[set].begin(), sets_[set].end(), [&](std::int32_t key) {
                return keys.may_wait(key) && !locked.contains(key) && !suspects.contains(key);
            });
        }
        offers[i].wanted = *wanted[set];
    }
}

}  // namespace tasker::engine
