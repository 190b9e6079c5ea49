// The states of a worker session (protocol "Session states") as data: every legal (state, event) pair is one
// row of a table, everything else is ignored. Tested cell by cell.
#pragma once

#include <optional>
#include <string_view>

namespace tasker::core {

/// Only a ready session gets new work.
enum class SessionState {
    greeted,   // said hello; its steps topic is not proven yet
    ready,     // answered a probe on its steps topic
    suspect,   // silent, unsubscribed, or takes no batches: a new probe decides
    lost,      // its lease or grace ended, or it said goodbye: it holds no credit
    draining,  // ends its work and takes no new
};

enum class SessionEvent {
    hello,
    probe_answered,
    subscribed,     // its steps topic
    unsubscribed,   // its steps topic
    heard,          // a heartbeat came
    silence,        // nothing heard for suspect_after
    lease_ended,    // nothing heard for the whole lease
    grace_ended,    // unsubscribed for longer than disconnect_grace
    batch_ignored,  // a batch was not accepted, its repetitions neither
    drain,          // asked to drain, or rejected a batch with `draining`
    goodbye,
};

inline constexpr int kSessionStates = 5;
inline constexpr int kSessionEvents = 11;

/// The state reached by `event` in `from` (often the same one), or nothing when the event means nothing
/// there.
std::optional<SessionState> next_state(SessionState from, SessionEvent event);

/// One spelling in C++, SQL, JSON and logs.
std::string_view to_text(SessionState state);
std::string_view to_text(SessionEvent event);

}  // namespace tasker::core
