// The registry of worker sessions and their credit.
//
// Authoritative for one thing only: who may be sent how much, now. Everything in it can be lost with the
// process: sessions say hello again, and the credit of open batches is taken anew from the database
// (`adopt`). Pure: no sockets, no clock, no threads. Times are milliseconds of a clock that runs during
// suspend, passed in by the caller, and never go backwards.
//
// Credit is counted per (batch, step): reserved for a turn (`reserve`), in flight from `settle` until the
// first final report, a hand-back, or the loss of the session. 0 ≤ in flight + reserved ≤ limit, except for
// what a restart, a return or a lowered capacity found in flight already (`excess`).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "orchestrator/core/lane_shares.hpp"
#include "orchestrator/core/registered_session.hpp"
#include "orchestrator/core/session_flights.hpp"
#include "orchestrator/core/session_plain.hpp"
#include "orchestrator/core/session_spec.hpp"
#include "orchestrator/core/session_states.hpp"

namespace tasker::core {

using std::chrono::milliseconds;

/// Limits and periods of the registry; the defaults are those of the settings.
struct RegistrySettings {
    milliseconds heartbeat{1000};  // also: how long an unanswered probe waits before it is sent again
    milliseconds suspect_after{3000};
    milliseconds lease{8000};
    milliseconds disconnect_grace{2000};
    milliseconds probe_delay_first{2000};  // after an ignored batch, doubling
    milliseconds probe_delay_max{60000};
    milliseconds lost_kept{600000};  // how long a lost session stays in the worker list
    std::int32_t plain_batch_steps_max = 10;
    int lanes = 1;             // that share the credit
    std::string nonce_prefix;  // different in each life of the orchestrator
};

/// Credit of one session, reserved for the caller until it settles. `batches_max` is 0 for any number of
/// batches; 1 for the plain worker, whose session is "". With several lanes also offers of nothing (free: 0),
/// last, of sessions whose credit is used up: the lane says of them too whether it wants some. `session` is
/// valid as long as the offer: there are as many as sessions in every turn, so names are not copied.
struct CreditOffer {
    std::string_view session;
    std::int32_t free = 0;
    std::int32_t in_flight = 0;
    std::int32_t limit = 0;
    std::int32_t capacity = 0;
    std::int32_t batches_max = 0;
    bool wanted = false;                         // for settle: work for this session waits
    std::shared_ptr<RegisteredSession> owner{};  // null for the plain worker
};

enum class HelloVerdict { accepted, duplicate_session };

/// One row of the worker list.
struct SessionView {
    SessionSpec spec;
    SessionState state = SessionState::greeted;
    bool subscribed = false;
    milliseconds heartbeat_age{0};
    std::int32_t in_flight = 0;
    std::int32_t reserved = 0;
    std::int32_t limit = 0;
    std::int32_t free = 0;  // what turns may use of the limit; what one reserves just now counts as free
};

/// A session changed its state. `credit_released` counts the steps whose credit a loss returned.
struct SessionChange {
    std::string session;
    std::string worker_id;
    SessionState from = SessionState::greeted;
    SessionState to = SessionState::greeted;
    SessionEvent event = SessionEvent::hello;
    std::int32_t credit_released = 0;
    bool drained = false;  // it promised so with its goodbye
};

/// A probe to send on the session's steps topic.
struct ProbeDue {
    std::string session;
    std::string nonce;
};

class SessionRegistry {
  public:
    explicit SessionRegistry(RegistrySettings settings);

    // ---- what the sockets tell. Unknown sessions are normal input everywhere: nothing happens.

    /// A session of the same id is the same worker only with the same host and pid; another one is refused. A
    /// known session is greeted anew and must answer a new probe.
    HelloVerdict on_hello(SessionSpec spec, milliseconds now);
    void on_subscribed(std::string_view session, milliseconds now);
    void on_unsubscribed(std::string_view session, milliseconds now);
    /// True when the nonce is that of the open probe; the session is then dispatchable (unless it drains),
    /// and what it holds or runs takes credit again.
    bool on_ready(std::string_view session, std::string_view nonce, const Inventory& inventory,
                  milliseconds now);
    /// False for a session that is not known, or has said goodbye.
    bool on_heartbeat(std::string_view session, const Inventory& inventory, milliseconds now);
    /// Any other message of a session proves its life as well.
    void on_heard(std::string_view session, milliseconds now);
    /// `drained`: all that it ever started is reported and acknowledged.
    void on_goodbye(std::string_view session, milliseconds now, bool drained = false);
    void on_drain(std::string_view session, milliseconds now);
    /// A batch was not accepted in spite of its repetitions: suspect, and the next probe waits 2, 4 … 60 s.
    void on_batch_ignored(std::string_view session, milliseconds now);
    void on_batch_accepted(std::string_view session);
    /// The session rejected a step of this class with unknown_handler: it is not offered such steps again.
    void remove_handler(std::string_view session, std::string_view handler_class);
    /// Rejected with over_capacity: no new work until its next heartbeat.
    void pause(std::string_view session);

    PlainNotice on_plain_subscribed();
    PlainNotice on_plain_unsubscribed();
    void open_plain_mode(milliseconds from) { plain_.open_from(from); }
    const PlainMode& plain() const { return plain_; }

    // ---- time

    /// Applies silence, leases and graces that have ended by `now`, and returns the probes that are due.
    /// Silence is judged at `heard_until`: the time up to which every message that arrived has been read.
    std::vector<ProbeDue> advance(milliseconds now, milliseconds heard_until);
    std::vector<ProbeDue> advance(milliseconds now) { return advance(now, now); }
    /// When `advance` must be called next, at the latest.
    milliseconds next_check() const { return next_check_; }
    /// Sessions of an earlier life of the orchestrator have until then to come back.
    void open_returns(milliseconds until) { returns_until_ = until; }
    /// Once, when that time is over: sessions with adopted batches that have not come back.
    std::vector<std::string> never_returned(milliseconds now);
    /// After a pause of our own: everybody counts as heard at `now`.
    void restart_leases(milliseconds now);

    // ---- credit

    /// Of every session that may be given work what this lane may take of its free credit (lane_shares.hpp;
    /// all of it, when no other lane contends), marked reserved.
    std::vector<CreditOffer> reserve(milliseconds now, int lane = 0);
    /// Ends a reservation: what `taken` uses is in flight, the rest free again. Nothing taken: a rollback.
    /// True when there is credit that this lane wants and may reserve at once.
    bool settle(const std::vector<CreditOffer>& offers, std::vector<TakenBatch> taken, int lane = 0);
    /// A lane that is away (it has lost the database) contends for nothing until it is back.
    void set_away(int lane, bool away);
    /// Lanes for which credit that they wait for has become free, as bits; each is told once per change.
    std::uint32_t take_lanes_to_wake();
    /// A batch that was open before this process: in flight at once, even of a session not yet known.
    void adopt(TakenBatch batch);
    /// First final report of a step, of any disposition, or its hand-back. Idempotent. `still_running`: its
    /// handler did not stop, so the credit stays until the session no longer lists the step.
    void give_back(std::string_view batch_uuid, std::int64_t step_id, bool still_running = false);
    void give_back_all(std::string_view batch_uuid);
    /// The batch has ended.
    void forget(std::string_view batch_uuid);
    bool note_running(std::string_view batch_uuid, std::int64_t step_id);

    // ---- questions

    bool serves(std::string_view session, std::string_view namespace_name,
                std::string_view handler_class) const;
    std::optional<SessionState> state_of(std::string_view session) const;
    bool is_ready(std::string_view session) const;
    /// Lost, or never seen in this life although the time for it is over.
    bool is_gone(std::string_view session, milliseconds now) const;
    const FlightTable& flights() const { return flights_; }
    /// Ordered by session id.
    std::vector<SessionView> snapshot(milliseconds now) const;
    std::int64_t credit_in_flight() const { return in_flight_total_; }

    /// What happened since the last call, in order.
    std::vector<SessionChange> take_changes();
    /// True once after credit appeared otherwise than by a report: ready, a pause's end, a handler that
    /// stopped.
    bool take_credit_appeared();

    /// Every invariant, counted anew: nullopt, or what is wrong. For tests, at the end of each.
    std::optional<std::string> sanity_check() const;

  private:
    using Session = RegisteredSession;

    Session* find(std::string_view session);
    const Session* find(std::string_view session) const;
    void apply(Session& session, SessionEvent event, milliseconds now);
    void require_probe(Session& session, milliseconds now);
    void heard(Session& session, milliseconds now);
    void check_at(milliseconds when);
    void advance_session(Session& session, milliseconds now, milliseconds heard_until);
    bool is_probe_due(const Session& session, milliseconds now, milliseconds heard_until) const;
    milliseconds next_check_of(const Session& session, milliseconds heard_until) const;
    std::int32_t free_credit(const Session& session) const;
    void take_credit(std::string_view session, std::int32_t taken, bool found);
    void take_credit(std::string_view session, int lane, std::int32_t taken, bool found);
    void release_credit(std::string_view session, std::int32_t freed);
    void release_credit(std::string_view session, int lane, std::int32_t freed);
    void count_lanes(Session& session) const;
    static void lower_excess(Session& session);
    void close_plain_batch(std::string_view batch_uuid);

    void set_hungry(Session& session, int lane, bool hungry);
    void forget_hunger(Session& session);

    const RegistrySettings settings_;
    std::map<std::string, std::shared_ptr<Session>, std::less<>> sessions_;
    TextMap<std::int32_t> subscriptions_;  // of steps topics, by session; also before its hello
    FlightTable flights_;
    PlainMode plain_;
    std::vector<SessionChange> changes_;
    std::int64_t in_flight_total_ = 0;
    std::uint64_t probes_opened_ = 0;
    milliseconds next_check_ = milliseconds::max();
    milliseconds returns_until_ = milliseconds::max();
    bool returns_judged_ = false;
    bool credit_appeared_ = false;
    bool credit_moved_ = false;            // since lanes were last woken
    std::unordered_set<Session*> hungry_;  // those that some lane wants more of
    std::uint32_t away_ = 0;               // lanes, as bits
    std::uint32_t working_ = 0;            // between reserve and settle, which looks for itself
    bool plain_opened_ = false;            // its opening time has passed while somebody was there
};

}  // namespace tasker::core
