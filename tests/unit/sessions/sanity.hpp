// Every invariant of the registry and of its parts, counted anew. Tests ask at their end, and after every
// event where the events are random.
#pragma once

#include <numeric>
#include <optional>
#include <string>

#include "orchestrator/core/sessions/registry.hpp"

namespace tasker::core {

class SanityCheck {
  public:
    static std::optional<std::string> of(const CreditLedger& ledger) {
        std::int64_t held = 0;
        for (const auto& [batch_uuid, flight] : ledger.flights_.flights_) {
            for (const auto& slot : flight.slots) held += slot.holds_credit ? 1 : 0;
        }
        if (held != ledger.in_flight())
            return "credit in flight is " + std::to_string(ledger.in_flight()) + ", the batches hold " +
                   std::to_string(held);
        std::size_t hungry = 0;
        for (const auto& [name, account] : ledger.accounts_) {
            if (account->session != name) return "account " + name + " is kept under another name";
            if (auto problem = of(ledger, *account)) return "account " + name + ": " + *problem;
            if (account->hungry_lanes != 0) ++hungry;
        }
        if (hungry != ledger.hungry_.size()) return "the accounts that a lane wants more of are miscounted";
        for (const std::string& batch_uuid : ledger.plain_.open_batches()) {
            if (ledger.flights().session_of(batch_uuid) == nullptr)
                return "open plain batch " + batch_uuid + " is not known";
        }
        return std::nullopt;
    }

    static std::optional<std::string> of(const SessionLife& life) {
        for (const auto& [name, session] : life.sessions()) {
            if (session.spec.session != name) return "session " + name + " is kept under another name";
            if (session.state == SessionState::ready && !session.subscribed)
                return "session " + name + ": ready, not subscribed";
            if (has_ended(session.state) && !session.nonce.empty())
                return "session " + name + ": ended, and its probe is open";
        }
        return std::nullopt;
    }

    static std::optional<std::string> of(const SessionRegistry& registry) {
        if (auto problem = of(registry.life_)) return problem;
        if (auto problem = of(registry.ledger_)) return problem;
        if (registry.ledger_.accounts_.size() != registry.life_.sessions().size())
            return "there are not as many accounts as sessions";
        for (const auto& [name, session] : registry.life_.sessions()) {
            const CreditAccount* account = registry.ledger_.find(name);
            if (account == nullptr) return "session " + name + " has no account";
            if (account->limit != credit_limit(session.spec))
                return "session " + name + ": its account has another limit";
            const AccountState expected = has_ended(session.state) ? AccountState::closed
                                          : session.takes_work()   ? AccountState::open
                                                                   : AccountState::held;
            if (account->state != expected)
                return "session " + name + ": its account does not follow its state";
        }
        return std::nullopt;
    }

  private:
    static std::optional<std::string> of(const CreditLedger& ledger, const CreditAccount& account) {
        const auto by_lane = ledger.flights().count_held_by_lane(account.session);
        const std::int32_t held = std::accumulate(by_lane.begin(), by_lane.end(), 0);
        if (account.in_flight != held)
            return "in flight " + std::to_string(account.in_flight) + ", its batches hold " +
                   std::to_string(held);
        std::int32_t reserved = 0;
        for (int lane = 0; lane < kLanesMax; ++lane) {
            const auto& share = account.shares[lane];
            reserved += share.reserved;
            if (share.hungry != ((account.hungry_lanes >> lane & 1U) != 0))
                return "whether lane " + std::to_string(lane) + " wants more is kept wrongly";
            if (share.in_flight != by_lane[static_cast<std::size_t>(lane)] || share.reserved < 0)
                return "lane " + std::to_string(lane) + " has " + std::to_string(share.in_flight) +
                       " in flight and " + std::to_string(share.reserved) + " reserved, its batches hold " +
                       std::to_string(by_lane[static_cast<std::size_t>(lane)]);
        }
        if (reserved != account.reserved) return "its lanes reserved " + std::to_string(reserved);
        if (account.excess < 0) return "excess " + std::to_string(account.excess);
        if (account.in_flight + account.reserved > account.limit + account.excess)
            return std::to_string(account.in_flight) + " in flight and " + std::to_string(account.reserved) +
                   " reserved exceed the limit of " + std::to_string(account.limit);
        if (account.state == AccountState::closed && held != 0) return "closed, but holds credit";
        if (account.hungry_lanes != 0 && !ledger.hungry_.contains(const_cast<CreditAccount*>(&account)))
            return "wanted, but not listed";
        return std::nullopt;
    }
};

/// nullopt, or the first invariant that does not hold.
template <typename Part>
std::optional<std::string> sanity_check(const Part& part) {
    return SanityCheck::of(part);
}

}  // namespace tasker::core
