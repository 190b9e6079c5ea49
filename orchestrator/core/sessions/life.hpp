// Which worker sessions exist, and in which state each of them is: hello, probe, ready, silence, loss.
//
// Everything here can be lost with the process: sessions say hello again. SessionLife knows nothing of
// credit; the registry passes its changes on (`take_changes`). Pure: no sockets, no clock, no threads. Times
// are milliseconds of a clock that runs during suspend. The caller passes them in, and they never go
// backwards.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/core/sessions/faults.hpp"
#include "orchestrator/core/sessions/spec.hpp"
#include "orchestrator/core/sessions/states.hpp"

namespace tasker::core {

using std::chrono::milliseconds;

/// Periods and limits; the defaults are those of the settings.
struct LifeSettings {
    milliseconds heartbeat{1000};  // also: how long an unanswered probe waits before it is sent again
    milliseconds suspect_after{3000};
    milliseconds lease{8000};
    milliseconds disconnect_grace{2000};
    milliseconds unproven{64000};          // without a heartbeat that proves what is in hand
    milliseconds probe_delay_first{2000};  // after an ignored batch, doubling
    milliseconds probe_delay_max{60000};
    milliseconds lost_kept{600000};  // how long a lost session stays in the worker list
    std::string nonce_prefix;        // different in each life of the orchestrator
};

enum class HelloVerdict { accepted, duplicate_session };

/// A session changed its state. `credit_released` counts the steps whose credit a loss returned; the registry
/// fills it in.
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

/// One session as SessionLife keeps it; for others it is there to read.
struct KnownSession {
    SessionSpec spec;
    SessionState state = SessionState::greeted;
    bool subscribed = false;
    bool paused = false;
    bool said_goodbye = false;
    bool drained = false;
    bool lost_by_grace = false;  // it may still come back before its lease ends
    milliseconds last_heard{0};
    milliseconds last_proof{0};  // the last heartbeat that was made with a recent one of ours
    std::optional<milliseconds> unsubscribed_at;  // its grace runs
    milliseconds lost_at{0};
    milliseconds probe_at{0};          // first sending or repetition of the open probe
    milliseconds probe_not_before{0};  // after an ignored batch
    milliseconds probe_delay{0};       // of the last ignored batch
    std::string nonce;                 // of the open probe, empty when none is
    std::vector<std::string> removed_handlers;
    FaultCounts faults{};

    bool takes_work() const { return state == SessionState::ready && !paused; }
    bool serves(std::string_view namespace_name, std::string_view handler_class) const;
};

class SessionLife {
  public:
    using Sessions = std::map<std::string, KnownSession, std::less<>>;

    explicit SessionLife(LifeSettings settings);

    // ---- messages and subscriptions. Unknown sessions are normal input everywhere: nothing happens.

    /// A session of the same id is the same worker only with the same host and pid; another one is refused. A
    /// known session is greeted anew and must answer a new probe.
    HelloVerdict on_hello(SessionSpec spec, milliseconds now);
    void on_subscribed(std::string_view session, milliseconds now);
    void on_unsubscribed(std::string_view session, milliseconds now);
    /// True when the nonce is that of the open probe; the session is then ready, unless it drains.
    bool on_ready(std::string_view session, std::string_view nonce, milliseconds now);
    /// False for a session that is not known, or has said goodbye. Ends a pause.
    /// `is_recent`: its inventory was made with what was sent to it lately.
    bool on_heartbeat(std::string_view session, milliseconds now, bool is_recent = true);
    /// Any other message of a session proves its life as well.
    void on_heard(std::string_view session, milliseconds now);
    /// `drained`: all that it ever started is reported and acknowledged.
    void on_goodbye(std::string_view session, milliseconds now, bool drained);
    void on_drain(std::string_view session, milliseconds now);
    /// A batch was not accepted in spite of its repetitions: suspect, and the next probe waits 2, 4 … 60 s.
    void on_batch_ignored(std::string_view session, milliseconds now);
    void on_batch_accepted(std::string_view session);
    /// The session no longer serves this class, whatever it announced. False when it was removed already.
    bool remove_handler(std::string_view session, std::string_view handler_class);
    /// No new work until its next heartbeat.
    void pause(std::string_view session);
    /// Returns how often the session has done that; 0 for one that is not known.
    std::int64_t record_fault(std::string_view session, SessionFault fault);

    // ---- time

    /// Applies silence, leases and graces that have ended by `now`, and returns the probes that are due.
    /// Silence is judged at `heard_until`: the time up to which every message that arrived has been read.
    std::vector<ProbeDue> advance(milliseconds now, milliseconds heard_until);
    /// When `advance` must be called next, at the latest.
    milliseconds next_check() const { return next_check_; }
    /// After a pause of this process: every session counts as heard at `now`.
    void restart_leases(milliseconds now);
    /// Sessions that have been lost for `lost_kept`. Each stays until the caller forgets it.
    std::vector<std::string> forgettable(milliseconds now) const;
    void forget(std::string_view session);

    /// Sessions of an earlier life of the orchestrator have until then to come back.
    void open_returns(milliseconds until) { returns_until_ = until; }
    /// True once: in the first call after that time.
    bool take_end_of_returns(milliseconds now);
    /// True after that call.
    bool returns_are_over() const { return returns_judged_; }

    // ---- questions

    /// nullptr for a session that is not known.
    const KnownSession* find(std::string_view session) const;
    /// Lost, or never seen in this life although the time for it is over.
    bool is_gone(std::string_view session, milliseconds now) const;
    /// Lost because it was unsubscribed for too long, and its lease is not over: steps that must not be tried
    /// twice wait for it. The end of that lease is one more change, from lost to lost.
    bool may_return(std::string_view session, milliseconds now) const;
    /// All that are known, ordered by id.
    const Sessions& sessions() const { return sessions_; }
    /// The changes since the last call, in order.
    std::vector<SessionChange> take_changes();

  private:
    KnownSession* look_up(std::string_view session);
    void apply(KnownSession& session, SessionEvent event, milliseconds now);
    void require_probe(KnownSession& session, milliseconds now);
    void record_heard(KnownSession& session, milliseconds now);
    void check_at(milliseconds when);
    void apply_deadlines(KnownSession& session, milliseconds now, milliseconds heard_until);
    bool is_probe_due(const KnownSession& session, milliseconds now, milliseconds heard_until) const;
    milliseconds next_check_of(const KnownSession& session, milliseconds heard_until) const;

    const LifeSettings settings_;
    Sessions sessions_;
    TextMap<std::int32_t> subscriptions_;  // of steps topics, by session; also before its hello
    std::vector<SessionChange> changes_;
    std::uint64_t probes_opened_ = 0;
    milliseconds next_check_ = milliseconds::max();
    milliseconds forget_at_ = milliseconds::max();  // the first that may be forgotten
    milliseconds returns_until_ = milliseconds::max();
    bool returns_judged_ = false;
};

}  // namespace tasker::core
