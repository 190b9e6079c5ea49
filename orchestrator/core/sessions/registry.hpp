// The registry of worker sessions: which exist, and how much each may be sent, now.
//
// It joins three parts, each with a header of its own: SessionLife (life.hpp) knows the sessions and their
// states, CreditLedger (credit.hpp) their credit, PlainMode (plain.hpp) the worker without a session. The
// registry itself only passes news from one part to another: a ready session may get work, a lost one gives
// its credit back, and the plain worker no longer serves a handler that a session announces.
//
// Authoritative for nothing that must survive the process. Not thread-safe: the engine guards it with a
// mutex.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "orchestrator/core/sessions/credit.hpp"
#include "orchestrator/core/sessions/life.hpp"
#include "orchestrator/core/sessions/plain.hpp"
#include "orchestrator/core/sessions/view.hpp"

namespace tasker::core {

/// Limits and periods of the registry; the defaults are those of the settings.
struct RegistrySettings : LifeSettings {
    std::int32_t plain_batch_steps_max = 10;
    int lanes = 1;  // that share the credit
};

class SessionRegistry {
  public:
    explicit SessionRegistry(RegistrySettings settings);

    // ---- messages and subscriptions, as in SessionLife

    HelloVerdict on_hello(SessionSpec spec, milliseconds now);
    void on_subscribed(std::string_view session, milliseconds now);
    void on_unsubscribed(std::string_view session, milliseconds now);
    /// As in SessionLife; the steps that the session lists as held or running take credit again.
    bool on_ready(std::string_view session, std::string_view nonce, const Inventory& inventory,
                  milliseconds now);
    bool on_heartbeat(std::string_view session, const Inventory& inventory, milliseconds now,
                      bool is_recent = true);
    void on_heard(std::string_view session, milliseconds now) { life_.on_heard(session, now); }
    void on_goodbye(std::string_view session, milliseconds now, bool drained = false);
    void on_drain(std::string_view session, milliseconds now);
    void on_batch_ignored(std::string_view session, milliseconds now);
    void on_batch_accepted(std::string_view session) { life_.on_batch_accepted(session); }
    /// The session rejected a step of this class with unknown_handler: it is not offered such steps again.
    void remove_handler(std::string_view session, std::string_view handler_class);
    /// Rejected with over_capacity: no new work until its next heartbeat.
    void pause(std::string_view session);
    std::int64_t record_fault(std::string_view session, SessionFault fault) {
        return life_.record_fault(session, fault);
    }

    PlainNotice on_plain_subscribed();
    PlainNotice on_plain_unsubscribed();
    void open_plain_mode(milliseconds from) { plain_.open_from(from); }
    const PlainMode& plain() const { return plain_; }

    // ---- time

    /// Applies all deadlines up to `now`, and returns the probes that are due (SessionLife::advance).
    std::vector<ProbeDue> advance(milliseconds now, milliseconds heard_until);
    /// When `advance` must be called next, at the latest.
    milliseconds next_check() const;
    /// Sessions of an earlier life of the orchestrator have until then to come back.
    void open_returns(milliseconds until) { life_.open_returns(until); }
    /// Once, when that time is over: sessions with adopted batches that have not come back.
    std::vector<std::string> never_returned(milliseconds now);
    /// What is remembered of sessions that have ended goes early: there is no room for it.
    void forget_ended();
    void restart_leases(milliseconds now) { life_.restart_leases(now); }

    // ---- credit, as in CreditLedger

    std::vector<CreditOffer> reserve(milliseconds now, int lane = 0) { return ledger_.reserve(now, lane); }
    bool settle(const std::vector<CreditOffer>& offers, std::vector<TakenBatch> taken, int lane = 0) {
        return ledger_.settle(offers, std::move(taken), lane);
    }
    void set_away(int lane, bool away) { ledger_.set_away(lane, away); }
    std::uint32_t take_lanes_to_wake() { return ledger_.take_lanes_to_wake(); }
    void adopt(TakenBatch batch) { ledger_.adopt(std::move(batch)); }
    void give_back(std::string_view batch_uuid, std::int64_t step_id, bool still_running = false);
    void reopen(std::string_view batch_uuid, std::int64_t step_id) { ledger_.reopen(batch_uuid, step_id); }
    void give_back_all(std::string_view batch_uuid) { ledger_.give_back_all(batch_uuid); }
    void forget(std::string_view batch_uuid) { ledger_.forget(batch_uuid); }
    bool record_running(std::string_view batch_uuid, std::int64_t step_id) {
        return ledger_.record_running(batch_uuid, step_id);
    }

    // ---- questions

    /// The plain worker ("") serves, in any namespace, all handlers that no session has announced in this
    /// epoch.
    bool serves(std::string_view session, std::string_view namespace_name,
                std::string_view handler_class) const;
    std::optional<SessionState> state_of(std::string_view session) const;
    bool is_ready(std::string_view session) const { return state_of(session) == SessionState::ready; }
    bool is_gone(std::string_view session, milliseconds now) const { return life_.is_gone(session, now); }
    bool may_return(std::string_view session, milliseconds now) const {
        return life_.may_return(session, now);
    }
    /// nullptr for a session that is not known.
    const KnownSession* find(std::string_view session) const { return life_.find(session); }
    const FlightTable& flights() const { return ledger_.flights(); }
    std::int64_t credit_in_flight() const { return ledger_.in_flight(); }
    /// The worker list, ordered by session id.
    std::vector<SessionView> snapshot(milliseconds now) const { return list_sessions(life_, ledger_, now); }

    /// The changes since the last call, in order.
    std::vector<SessionChange> take_changes();
    /// True once after credit appeared otherwise than by a report, or sessions serve other handlers than
    /// before: every lane has to look again.
    bool take_credit_appeared();

  private:
    friend class SanityCheck;  // of the tests: counts everything anew

    void follow_changes();
    void follow_pause(std::string_view session);

    PlainMode plain_;
    SessionLife life_;
    CreditLedger ledger_;
    std::vector<SessionChange> changes_;
    bool must_look_again_ = false;  // some session serves other handlers than before
    bool plain_opened_ = false;     // its opening time has passed while somebody was there
};

}  // namespace tasker::core
