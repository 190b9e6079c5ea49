#include "orchestrator/core/session_states.hpp"

#include <algorithm>
#include <array>

namespace tasker::core {
namespace {

using S = SessionState;
using E = SessionEvent;

struct SessionTransition {
    SessionState from;
    SessionEvent event;
    SessionState to;
};

constexpr auto kTransitions = std::to_array<SessionTransition>({
    {S::greeted, E::hello, S::greeted},
    {S::greeted, E::probe_answered, S::ready},
    {S::greeted, E::subscribed, S::greeted},
    {S::greeted, E::unsubscribed, S::suspect},
    {S::greeted, E::heard, S::greeted},
    {S::greeted, E::silence, S::suspect},
    {S::greeted, E::lease_ended, S::lost},
    {S::greeted, E::grace_ended, S::lost},
    {S::greeted, E::batch_ignored, S::suspect},
    {S::greeted, E::drain, S::draining},
    {S::greeted, E::goodbye, S::lost},

    // A hello or a subscription of a ready session means that its sockets were made anew: prove them again.
    {S::ready, E::hello, S::greeted},
    {S::ready, E::probe_answered, S::ready},
    {S::ready, E::subscribed, S::greeted},
    {S::ready, E::unsubscribed, S::suspect},
    {S::ready, E::heard, S::ready},
    {S::ready, E::silence, S::suspect},
    {S::ready, E::lease_ended, S::lost},
    {S::ready, E::grace_ended, S::lost},
    {S::ready, E::batch_ignored, S::suspect},
    {S::ready, E::drain, S::draining},
    {S::ready, E::goodbye, S::lost},

    {S::suspect, E::hello, S::greeted},
    {S::suspect, E::probe_answered, S::ready},
    {S::suspect, E::subscribed, S::suspect},
    {S::suspect, E::unsubscribed, S::suspect},
    {S::suspect, E::heard, S::suspect},
    {S::suspect, E::silence, S::suspect},
    {S::suspect, E::lease_ended, S::lost},
    {S::suspect, E::grace_ended, S::lost},
    {S::suspect, E::batch_ignored, S::suspect},
    {S::suspect, E::drain, S::draining},
    {S::suspect, E::goodbye, S::lost},

    // A heartbeat of a lost session shows a worker that does not know of its loss (frozen, then thawed): it
    // is greeted again and probed, with the specification it gave.
    {S::lost, E::hello, S::greeted},
    {S::lost, E::heard, S::greeted},

    {S::draining, E::hello, S::draining},
    {S::draining, E::probe_answered, S::draining},
    {S::draining, E::subscribed, S::draining},
    {S::draining, E::unsubscribed, S::draining},
    {S::draining, E::heard, S::draining},
    {S::draining, E::silence, S::draining},
    {S::draining, E::lease_ended, S::lost},
    {S::draining, E::grace_ended, S::lost},
    {S::draining, E::batch_ignored, S::draining},
    {S::draining, E::drain, S::draining},
    {S::draining, E::goodbye, S::lost},
});

}  // namespace

std::optional<SessionState> next_state(SessionState from, SessionEvent event) {
    const auto row = std::find_if(kTransitions.begin(), kTransitions.end(), [&](const SessionTransition& t) {
        return t.from == from && t.event == event;
    });
    if (row == kTransitions.end()) return std::nullopt;
    return row->to;
}

std::string_view to_text(SessionState state) {
    switch (state) {
        case SessionState::greeted:
            return "greeted";
        case SessionState::ready:
            return "ready";
        case SessionState::suspect:
            return "suspect";
        case SessionState::lost:
            return "lost";
        case SessionState::draining:
            return "draining";
    }
    return "invalid";
}

std::string_view to_text(SessionEvent event) {
    switch (event) {
        case SessionEvent::hello:
            return "hello";
        case SessionEvent::probe_answered:
            return "probe_answered";
        case SessionEvent::subscribed:
            return "subscribed";
        case SessionEvent::unsubscribed:
            return "unsubscribed";
        case SessionEvent::heard:
            return "heard";
        case SessionEvent::silence:
            return "silence";
        case SessionEvent::lease_ended:
            return "lease_ended";
        case SessionEvent::grace_ended:
            return "grace_ended";
        case SessionEvent::batch_ignored:
            return "batch_ignored";
        case SessionEvent::drain:
            return "drain";
        case SessionEvent::goodbye:
            return "goodbye";
    }
    return "invalid";
}

}  // namespace tasker::core
