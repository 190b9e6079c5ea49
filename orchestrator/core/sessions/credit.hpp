// The credit of worker sessions: how much each may be sent, now.
//
// Credit is counted per (batch, step): reserved for a turn (`reserve`), in flight from `settle` until the
// first final report, a hand-back, or the loss of the session. 0 ≤ in flight + reserved ≤ limit, except for
// what a restart, a return or a lowered capacity found in flight already (`excess`).
//
// Each session has an account; the one batch of the plain worker (plain.hpp) is shared in the same way. The
// ledger does not know why a session may get work or not: its owner says so (`open`, `hold`, `close`). All of
// it can be lost with the process: the credit of open batches is taken anew from the database (`adopt`).
//
// Pure: no clock, no threads. A turn walks over the accounts once in `reserve` and once in `settle`; a report
// costs one look-up of its batch and one of its account.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "orchestrator/core/sessions/flights.hpp"
#include "orchestrator/core/sessions/plain.hpp"
#include "orchestrator/core/sessions/shares.hpp"
#include "orchestrator/core/sessions/spec.hpp"

namespace tasker::core {

using std::chrono::milliseconds;

enum class AccountState {
    closed,  // its session is lost: it holds no credit
    held,    // it keeps its credit in flight, and turns are offered none
    open,    // turns are offered its free credit
};

/// The credit of one session, in steps. For others than the ledger it is a handle: an offer holds on to it,
/// so that settling need not search, also when the ledger has forgotten the account meanwhile.
struct CreditAccount {
    explicit CreditAccount(std::string_view id) : session(id) {}

    const std::string session;  // may be read at any time, by whoever holds an offer
    AccountState state = AccountState::held;
    bool forgotten = false;  // no longer in the ledger; an offer may still hold on to it
    std::int32_t limit = 0;
    std::int32_t capacity = 0;
    std::int32_t in_flight = 0;
    std::int32_t reserved = 0;
    std::int32_t excess = 0;         // in flight beyond the limit that was found, not given
    std::uint32_t hungry_lanes = 0;  // those of `shares` that are hungry, as bits
    LaneShares shares;
};

/// Credit of one session, reserved for the caller until it settles. `batches_max` is 0 for any number of
/// batches; 1 for the plain worker, whose session is "". With several lanes also sessions whose credit is
/// used up make an offer (free: 0), last: the lane marks those too that it wants. `session` is valid as long
/// as the offer. Every turn has as many offers as there are sessions, so names are not copied.
struct CreditOffer {
    std::string_view session;
    std::int32_t free = 0;
    std::int32_t in_flight = 0;
    std::int32_t limit = 0;
    std::int32_t capacity = 0;
    std::int32_t batches_max = 0;
    bool wanted = false;                       // for settle: work for this session waits
    std::shared_ptr<CreditAccount> account{};  // null for the plain worker
};

class CreditLedger {
  public:
    /// `lanes` share the credit. `plain` outlives the ledger.
    CreditLedger(int lanes, PlainMode& plain) : lanes_(lanes), plain_(plain) {}
    CreditLedger(const CreditLedger&) = delete;
    CreditLedger& operator=(const CreditLedger&) = delete;

    // ---- accounts. An unknown session is normal input everywhere: nothing happens.

    /// Enters the session, or changes its limit: `capacity` steps at once, `limit` in flight. A new account
    /// is held, and the credit of batches that were adopted before counts as in flight.
    void set_limit(std::string_view session, std::int32_t limit, std::int32_t capacity);
    /// The session may get work.
    void open(std::string_view session);
    /// The session keeps its credit in flight, and gets no more.
    void hold(std::string_view session);
    /// The session is lost, or will never come: all its credit is free again. Returns how much that was.
    std::int32_t close(std::string_view session);
    /// Forgets a closed account. False while a turn has reserved something of it.
    bool forget_account(std::string_view session);
    /// Takes the credit again of steps that the session lists as held or running, if they are of its own
    /// batches and not reported.
    void retake(std::string_view session, const Inventory& inventory);
    /// Steps that were reported as still running give their credit back once the session lists them no more.
    void release_unlisted(std::string_view session, const Inventory& inventory);

    // ---- turns

    /// Reserves this lane's share of the free credit of every open account (shares.hpp; all of it, when no
    /// other lane contends). Ordered by session.
    std::vector<CreditOffer> reserve(milliseconds now, int lane);
    /// Ends a reservation: the credit of `taken` is in flight, the rest free again. Nothing taken: a
    /// rollback. True when there is credit that this lane wants and may reserve at once.
    bool settle(const std::vector<CreditOffer>& offers, std::vector<TakenBatch> taken, int lane);
    /// A lane that is away (it has lost the database) contends for nothing until it is back.
    void set_away(int lane, bool away);
    /// Lanes for which credit that they wait for has become free, as bits; each once per change.
    std::uint32_t take_lanes_to_wake();
    /// True once after credit appeared otherwise than by a report: an account was opened, a handler stopped,
    /// a batch ended early.
    bool take_credit_appeared() { return std::exchange(credit_appeared_, false); }

    // ---- batches

    /// A batch that was open before this process: in flight at once, even of a session not yet known.
    void adopt(TakenBatch batch);
    /// First final report of a step, of any disposition, or its hand-back. Idempotent. `still_running`: its
    /// handler did not stop, so the credit stays until the session no longer lists the step (the plain worker
    /// lists none, so there the credit does not stay).
    void give_back(std::string_view batch_uuid, std::int64_t step_id, bool still_running);
    void give_back_all(std::string_view batch_uuid);
    /// What came for this step did not end it: it is out as before. Its credit stays free.
    void reopen(std::string_view batch_uuid, std::int64_t step_id) { flights_.reopen(batch_uuid, step_id); }
    /// The batch has ended.
    void forget(std::string_view batch_uuid);
    /// True the first time that this step is said to run.
    bool record_running(std::string_view batch_uuid, std::int64_t step_id) {
        return flights_.record_running(batch_uuid, step_id);
    }

    // ---- questions

    /// nullptr for a session without account.
    const CreditAccount* find(std::string_view session) const;
    const FlightTable& flights() const { return flights_; }
    /// Of all batches, also of sessions not known.
    std::int64_t in_flight() const { return in_flight_; }

  private:
    friend class SanityCheck;  // of the tests: counts everything anew

    CreditAccount* look_up(std::string_view session);
    void set_state(std::string_view session, AccountState state);
    static std::int32_t free_of(const CreditAccount& account);
    void take(CreditAccount* account, int lane, std::int32_t taken);
    void release(CreditAccount* account, int lane, std::int32_t freed);
    void release_of_all_lanes(CreditAccount* account, std::int32_t freed);
    std::int32_t count_lanes(CreditAccount& account) const;
    static void raise_excess(CreditAccount& account);
    static void lower_excess(CreditAccount& account);
    void enter(TakenBatch batch, int lane);
    void close_plain_batch(std::string_view batch_uuid);
    bool must_wake(const CreditOffer& offer, int lane) const;
    void set_hungry(CreditAccount& account, int lane, bool hungry);

    const int lanes_;
    PlainMode& plain_;
    std::map<std::string, std::shared_ptr<CreditAccount>, std::less<>> accounts_;
    FlightTable flights_;
    std::int64_t in_flight_ = 0;
    std::unordered_set<CreditAccount*> hungry_;  // those that some lane wants more of
    bool credit_appeared_ = false;
    bool credit_moved_ = false;  // since lanes were last woken
    std::uint32_t away_ = 0;     // lanes, as bits
    std::uint32_t working_ = 0;  // between reserve and settle, which looks for itself
};

}  // namespace tasker::core
