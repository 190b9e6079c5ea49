// Turns free credit into the keys and slots of a turn: sessions that serve the same handler keys form a
// profile.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "orchestrator/core/sessions/registry.hpp"
#include "orchestrator/engine/turns/handler_keys.hpp"
#include "orchestrator/engine/turns/suspect_keys.hpp"
#include "orchestrator/ports/credit.hpp"
#include "orchestrator/ports/store.hpp"

namespace tasker::engine {

/// Slots that one turn fills at most: bounds the size of a transaction.
inline constexpr std::size_t kSlotsPerTurnMax = 1000;
inline constexpr std::size_t kSlotsPerTurnLeast = 64;

/// Which keys a turn may claim: all but the suspects, or one of them by itself, in one profile.
struct ClaimChoice {
    const SuspectKeys* suspects = nullptr;
    std::optional<SuspectKeys::Trial> trial = std::nullopt;

    bool allows(std::int32_t handler_key) const {
        if (trial) return handler_key == trial->handler_key;
        return suspects == nullptr || !suspects->contains(handler_key);
    }
    bool allows_all() const { return !trial && (suspects == nullptr || suspects->is_empty()); }
};

class ClaimPlanner {
  public:
    /// Forgets which session serves what: sessions or definitions have changed.
    void forget_sessions() {
        served_.clear();
        sets_.clear();
        offered_.clear();
    }

    /// Fills keys, slots and sessions of `input`; sessions are those that get slots. Returns true when a
    /// waiting key will be looked at, so that the turn is worth its while even without messages.
    /// With a choice only the keys that it allows are named.
    bool plan(const std::vector<core::CreditOffer>& offers, ports::CreditPool& credit,
              const HandlerKeys& keys, ports::TurnInput& input, const ClaimChoice& choice = {});
    /// Marks the offers of sessions that serve a key with work that may be waiting. Keys in `locked`, and
    /// suspects, do not count: they are looked at again by the clock.
    void mark_wanted(std::vector<core::CreditOffer>& offers, ports::CreditPool& credit,
                     const HandlerKeys& keys, const std::set<std::int32_t>& locked,
                     const SuspectKeys& suspects = {});

    /// Slots of one profile in the next turn. A turn that fills them is followed by another at once.
    std::size_t slots_max() const { return slots_max_; }
    /// What a turn claimed of its slots: the next one gets twice as many, so that a thousand idle sessions do
    /// not cost each small turn a thousand slots.
    void record_claimed(std::size_t claims) {
        slots_max_ = std::clamp(2 * claims, kSlotsPerTurnLeast, kSlotsPerTurnMax);
    }

  private:
    using Keys = std::vector<std::int32_t>;

    /// Sessions of the same keys share one set, however many they are.
    std::size_t served_by(std::string_view session, ports::CreditPool& credit, const HandlerKeys& keys);
    void find_sets(const std::vector<core::CreditOffer>& offers, ports::CreditPool& credit,
                   const HandlerKeys& keys);
    static Keys allowed(const Keys& served, const ClaimChoice& choice);
    std::optional<std::int32_t> next_plain_key(const Keys& served, const HandlerKeys& keys);
    void add_profile(const std::vector<core::CreditOffer>& offers, const std::vector<std::size_t>& members,
                     int profile, std::size_t slots_max, ports::TurnInput& input);

    core::TextMap<std::size_t> served_;  // session → place in sets_
    std::vector<Keys> sets_;
    std::vector<std::size_t> offered_;  // the set of each offer: found by `plan`, used up by `mark_wanted`
    std::size_t plain_turn_ = 0;
    std::size_t slots_max_ = kSlotsPerTurnMax;
};

}  // namespace tasker::engine
