// What a lane's turns claim: which handler keys may have work, which free credit a turn holds, and whether
// another turn is to follow at once.
//
// A turn reserves the lane's share of the free credit, is given keys and slots for it, and settles: with the
// batches that were claimed, or with nothing, which is the rollback. Between a reservation and its settlement
// nothing else of this class may be called but plan() and update().
#pragma once

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "orchestrator/core/sessions/registry.hpp"
#include "orchestrator/engine/turns/claim_plan.hpp"
#include "orchestrator/engine/turns/handler_keys.hpp"
#include "orchestrator/ports/credit.hpp"
#include "orchestrator/ports/delivery.hpp"
#include "orchestrator/ports/store.hpp"

namespace tasker::engine {

/// Belongs to its lane's thread; `credit` must outlive it.
class Claims {
  public:
    Claims(int lane, ports::CreditPool& credit) : lane_(lane), credit_(credit) {}

    /// Definitions have changed, or were read back.
    void set_keys(std::vector<ports::HandlerKey> keys) {
        keys_.replace(std::move(keys));
        planner_.forget_sessions();
    }
    /// A claim named a key that was not known yet; which session serves what is looked up later.
    void add_keys(std::vector<ports::HandlerKey> keys) { keys_.replace(std::move(keys)); }
    /// Looks for work of every key, wherever its steps stand.
    void look_at_all() { keys_.mark_all_waiting(); }
    /// Steps of this key may have become ready anywhere.
    void look_at(std::int32_t handler_key) { keys_.mark_waiting(handler_key); }
    void on_wake(const ports::Wake& wake) {
        for (const auto key : wake.keys) keys_.mark_waiting(key, wake.from);
    }
    /// Sessions have come or changed.
    void forget_sessions() { planner_.forget_sessions(); }
    /// Steps that were locked may be looked at again.
    void release_locked() { locked_.clear(); }
    const HandlerKeys& keys() const { return keys_; }

    /// A round begins: another one follows at once only if a turn of this one asks for it.
    void begin_round() { looks_again_ = false; }
    bool looks_again() const { return looks_again_; }

    /// The lane's share of the free credit, to be settled exactly once.
    std::vector<core::CreditOffer> reserve() { return credit_.reserve(lane_); }
    /// Fills keys, slots and sessions of `input`. True when a key that may wait will be looked at, so that
    /// the turn is worth its while even without messages.
    bool plan(const std::vector<core::CreditOffer>& offers, ports::TurnInput& input) {
        return planner_.plan(offers, credit_, keys_, input, {&suspects_});
    }
    /// The same for one suspect.
    bool plan(const std::vector<core::CreditOffer>& offers, const SuspectKeys::Trial& trial,
              ports::TurnInput& input) {
        return planner_.plan(offers, credit_, keys_, input, {&suspects_, trial});
    }
    /// Keys that normal turns leave out, because a turn that claimed of them has failed.
    SuspectKeys& suspects() { return suspects_; }
    const SuspectKeys& suspects() const { return suspects_; }
    /// Takes over what a committed turn found out about waiting steps. True when steps were locked by
    /// somebody: call release_locked() in a moment.
    bool update(const ports::TurnInput& input, const ports::TurnResult& result,
                const std::vector<core::CreditOffer>& offers);
    void settle(std::vector<core::CreditOffer>& offers, std::vector<core::TakenBatch> taken);

  private:
    void mark_what_waits(const ports::TurnInput& input, const ports::TurnResult& result);
    void look_for_plain(const ports::TurnInput& input, const ports::TurnResult& result,
                        const std::vector<core::CreditOffer>& offers);

    const int lane_;
    ports::CreditPool& credit_;
    HandlerKeys keys_;
    ClaimPlanner planner_;
    SuspectKeys suspects_;
    std::set<std::int32_t> locked_;  // keys whose steps somebody else held
    bool looks_again_ = false;
};

/// The credit that these batches take.
std::vector<core::TakenBatch> taken_by(const std::vector<ports::OutboundBatch>& batches);

}  // namespace tasker::engine
