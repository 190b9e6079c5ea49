// The states of a worker session (protocol "Session states"). An event that the table does not list in a
// state is ignored there.
#pragma once

#include <array>
#include <string_view>

#include "orchestrator/core/state_machine.hpp"

namespace tasker::core {

/// Only a ready session gets new work.
enum class SessionState {
    greeted,   // said hello; its steps topic is not proven yet
    ready,     // answered a probe on its steps topic
    suspect,   // silent, unsubscribed, or takes no batches: a new probe decides
    lost,      // its lease or grace ended: it holds no credit
    draining,  // ends its work and takes no new
    left,      // it said goodbye: it holds no credit
};

enum class SessionEvent {
    hello,
    probe_answered,
    subscribed,     // its steps topic
    unsubscribed,   // its steps topic
    heard,          // a heartbeat came
    silence,        // nothing came for suspect_after
    lease_ended,    // nothing came for the whole lease
    grace_ended,    // unsubscribed for longer than disconnect_grace
    unproven,       // no heartbeat showed for long what it has in hand
    batch_ignored,  // a batch was not accepted, its repetitions neither
    drain,          // asked to drain, or rejected a batch with `draining`
    goodbye,
};

template <>
struct Machine<SessionState> {
    using S = SessionState;
    using E = SessionEvent;
    using Event = SessionEvent;

    static constexpr auto kStates = std::to_array<Word<S>>({
        {S::greeted, "greeted"},
        {S::ready, "ready"},
        {S::suspect, "suspect"},
        {S::lost, "lost"},
        {S::draining, "draining"},
        {S::left, "left"},
    });
    static constexpr auto kEvents = std::to_array<Word<E>>({
        {E::hello, "hello"},
        {E::probe_answered, "probe_answered"},
        {E::subscribed, "subscribed"},
        {E::unsubscribed, "unsubscribed"},
        {E::heard, "heard"},
        {E::silence, "silence"},
        {E::lease_ended, "lease_ended"},
        {E::grace_ended, "grace_ended"},
        {E::unproven, "unproven"},
        {E::batch_ignored, "batch_ignored"},
        {E::drain, "drain"},
        {E::goodbye, "goodbye"},
    });
    static constexpr auto kTransitions = std::to_array<Transition<S, E>>({
        {S::greeted, E::hello, S::greeted},
        {S::greeted, E::probe_answered, S::ready},
        {S::greeted, E::subscribed, S::greeted},
        {S::greeted, E::unsubscribed, S::suspect},
        {S::greeted, E::heard, S::greeted},
        {S::greeted, E::silence, S::suspect},
        {S::greeted, E::lease_ended, S::lost},
        {S::greeted, E::grace_ended, S::lost},
        {S::greeted, E::unproven, S::lost},
        {S::greeted, E::batch_ignored, S::suspect},
        {S::greeted, E::drain, S::draining},
        {S::greeted, E::goodbye, S::left},

        // A hello or a subscription of a ready session means that its sockets were made anew: prove them
        // again.
        {S::ready, E::hello, S::greeted},
        {S::ready, E::probe_answered, S::ready},
        {S::ready, E::subscribed, S::greeted},
        {S::ready, E::unsubscribed, S::suspect},
        {S::ready, E::heard, S::ready},
        {S::ready, E::silence, S::suspect},
        {S::ready, E::lease_ended, S::lost},
        {S::ready, E::grace_ended, S::lost},
        {S::ready, E::unproven, S::lost},
        {S::ready, E::batch_ignored, S::suspect},
        {S::ready, E::drain, S::draining},
        {S::ready, E::goodbye, S::left},

        {S::suspect, E::hello, S::greeted},
        {S::suspect, E::probe_answered, S::ready},
        {S::suspect, E::subscribed, S::suspect},
        {S::suspect, E::unsubscribed, S::suspect},
        {S::suspect, E::heard, S::suspect},
        {S::suspect, E::silence, S::suspect},
        {S::suspect, E::lease_ended, S::lost},
        {S::suspect, E::grace_ended, S::lost},
        {S::suspect, E::unproven, S::lost},
        {S::suspect, E::batch_ignored, S::suspect},
        {S::suspect, E::drain, S::draining},
        {S::suspect, E::goodbye, S::left},

        // A heartbeat of a lost session shows a worker that does not know of its loss (frozen, then thawed):
        // it is greeted again and probed, with the specification it gave.
        {S::lost, E::hello, S::greeted},
        {S::lost, E::heard, S::greeted},
        {S::left, E::hello, S::greeted},

        {S::draining, E::hello, S::draining},
        {S::draining, E::probe_answered, S::draining},
        {S::draining, E::subscribed, S::draining},
        {S::draining, E::unsubscribed, S::draining},
        {S::draining, E::heard, S::draining},
        {S::draining, E::silence, S::draining},
        {S::draining, E::lease_ended, S::lost},
        {S::draining, E::grace_ended, S::lost},
        {S::draining, E::unproven, S::lost},
        {S::draining, E::batch_ignored, S::draining},
        {S::draining, E::drain, S::draining},
        {S::draining, E::goodbye, S::left},
    });
};

/// A session that is over: it holds no credit and gets nothing, until it says hello again.
constexpr bool has_ended(SessionState state) {
    return state == SessionState::lost || state == SessionState::left;
}

std::string_view to_text(SessionState state);
std::string_view to_text(SessionEvent event);

}  // namespace tasker::core
