#include "orchestrator/core/sessions/life.hpp"

#include <algorithm>
#include <utility>

namespace tasker::core {
namespace {

constexpr milliseconds kLookAgain{50};

// A session in one of these becomes ready by answering a probe.
bool awaits_probe(SessionState state) {
    return state == SessionState::greeted || state == SessionState::suspect;
}

}  // namespace

bool KnownSession::serves(std::string_view namespace_name, std::string_view handler_class) const {
    return matches_any(spec.namespaces, namespace_name) && matches_any(spec.handlers, handler_class) &&
           std::find(removed_handlers.begin(), removed_handlers.end(), handler_class) ==
               removed_handlers.end();
}

SessionLife::SessionLife(LifeSettings settings) : settings_(std::move(settings)) {}

KnownSession* SessionLife::look_up(std::string_view session) {
    const auto found = sessions_.find(session);
    return found == sessions_.end() ? nullptr : &found->second;
}

const KnownSession* SessionLife::find(std::string_view session) const {
    const auto found = sessions_.find(session);
    return found == sessions_.end() ? nullptr : &found->second;
}

// ---------------------------------------------------------------- messages and subscriptions

HelloVerdict SessionLife::on_hello(SessionSpec spec, milliseconds now) {
    auto [place, added] = sessions_.try_emplace(spec.session);
    KnownSession& session = place->second;
    if (!added && (session.spec.host != spec.host || session.spec.pid != spec.pid)) {
        return HelloVerdict::duplicate_session;
    }
    session.spec = std::move(spec);
    session.said_goodbye = false;
    session.drained = false;
    session.removed_handlers.clear();
    const auto subscribed = subscriptions_.find(session.spec.session);
    session.subscribed = subscribed != subscriptions_.end() && subscribed->second > 0;
    if (added) {
        changes_.push_back({session.spec.session, session.spec.worker_id, SessionState::greeted,
                            SessionState::greeted, SessionEvent::hello});
    }
    session.last_heard = now;
    // Said again and again, a hello must not stand for the inventories that a session owes.
    if (added || has_ended(session.state)) session.last_proof = now;
    apply(session, SessionEvent::hello, now);
    require_probe(session, now);
    return HelloVerdict::accepted;
}

void SessionLife::on_subscribed(std::string_view name, milliseconds now) {
    auto place = subscriptions_.find(name);
    if (place == subscriptions_.end()) place = subscriptions_.emplace(std::string(name), 0).first;
    ++place->second;
    KnownSession* session = look_up(name);
    if (session == nullptr) return;
    session->subscribed = true;
    session->unsubscribed_at.reset();
    apply(*session, SessionEvent::subscribed, now);
    require_probe(*session, now);
}

void SessionLife::on_unsubscribed(std::string_view name, milliseconds now) {
    const auto place = subscriptions_.find(name);
    if (place == subscriptions_.end()) return;
    const bool none_left = --place->second == 0;
    if (none_left) subscriptions_.erase(place);
    KnownSession* session = look_up(name);
    if (session == nullptr) return;
    if (!none_left) {
        // The old connection of a reconnect ended after the new one had subscribed: prove the new one.
        apply(*session, SessionEvent::subscribed, now);
        require_probe(*session, now);
        return;
    }
    session->subscribed = false;
    session->unsubscribed_at = now;
    session->nonce.clear();
    apply(*session, SessionEvent::unsubscribed, now);
    check_at(now + settings_.disconnect_grace);
}

bool SessionLife::on_ready(std::string_view name, std::string_view nonce, milliseconds now) {
    KnownSession* session = look_up(name);
    if (session == nullptr) return false;
    record_heard(*session, now);
    if (session->nonce.empty() || session->nonce != nonce || !session->subscribed) return false;
    session->nonce.clear();
    session->paused = false;
    apply(*session, SessionEvent::probe_answered, now);
    return true;
}

bool SessionLife::on_heartbeat(std::string_view name, milliseconds now, bool is_recent) {
    KnownSession* session = look_up(name);
    if (session == nullptr || session->said_goodbye) return false;
    const bool was_lost = has_ended(session->state);
    session->paused = false;
    session->last_heard = now;
    if (is_recent || was_lost) session->last_proof = now;
    apply(*session, SessionEvent::heard, now);
    if (was_lost) require_probe(*session, now);
    record_heard(*session, now);
    return true;
}

void SessionLife::on_heard(std::string_view name, milliseconds now) {
    if (KnownSession* session = look_up(name)) record_heard(*session, now);
}

void SessionLife::record_heard(KnownSession& session, milliseconds now) {
    session.last_heard = now;
    if (awaits_probe(session.state) && session.subscribed) {
        check_at(std::max(session.probe_at, session.probe_not_before));
    }
}

void SessionLife::on_goodbye(std::string_view name, milliseconds now, bool drained) {
    KnownSession* session = look_up(name);
    if (session == nullptr) return;
    session->said_goodbye = true;
    session->drained = drained;
    apply(*session, SessionEvent::goodbye, now);
}

void SessionLife::on_drain(std::string_view name, milliseconds now) {
    if (KnownSession* session = look_up(name)) apply(*session, SessionEvent::drain, now);
}

void SessionLife::on_batch_ignored(std::string_view name, milliseconds now) {
    KnownSession* session = look_up(name);
    if (session == nullptr) return;
    session->probe_delay = session->probe_delay.count() == 0
                               ? settings_.probe_delay_first
                               : std::min(session->probe_delay * 2, settings_.probe_delay_max);
    session->probe_not_before = now + session->probe_delay;
    apply(*session, SessionEvent::batch_ignored, now);
    require_probe(*session, now);
}

void SessionLife::on_batch_accepted(std::string_view name) {
    KnownSession* session = look_up(name);
    if (session == nullptr) return;
    session->probe_delay = milliseconds{0};
    session->probe_not_before = milliseconds{0};
}

bool SessionLife::remove_handler(std::string_view name, std::string_view handler_class) {
    KnownSession* session = look_up(name);
    if (session == nullptr) return false;
    auto& removed = session->removed_handlers;
    if (std::find(removed.begin(), removed.end(), handler_class) != removed.end()) return false;
    removed.emplace_back(handler_class);
    return true;
}

void SessionLife::pause(std::string_view name) {
    if (KnownSession* session = look_up(name)) session->paused = true;
}

std::int64_t SessionLife::record_fault(std::string_view name, SessionFault fault) {
    KnownSession* session = look_up(name);
    return session == nullptr ? 0 : ++session->faults[static_cast<std::size_t>(fault)];
}

// ---------------------------------------------------------------- states and time

void SessionLife::apply(KnownSession& session, SessionEvent event, milliseconds now) {
    const auto next = next_state(session.state, event);
    if (!next || *next == session.state) return;
    SessionChange change{session.spec.session, session.spec.worker_id, session.state, *next, event};
    session.state = *next;
    session.lost_by_grace = event == SessionEvent::grace_ended;
    if (has_ended(*next)) {
        session.lost_at = now;
        session.nonce.clear();
        session.unsubscribed_at.reset();
        change.drained = session.drained && event == SessionEvent::goodbye;
        forget_at_ = std::min(forget_at_, now + settings_.lost_kept);
        check_at(now + settings_.lost_kept);
    }
    changes_.push_back(std::move(change));
}

void SessionLife::require_probe(KnownSession& session, milliseconds now) {
    session.nonce.clear();  // an answer to an older probe proves nothing about the sockets of now
    session.probe_at = now;
    check_at(now);
}

void SessionLife::check_at(milliseconds when) {
    next_check_ = std::min(next_check_, when);
}

bool SessionLife::is_probe_due(const KnownSession& session, milliseconds now,
                               milliseconds heard_until) const {
    return awaits_probe(session.state) && session.subscribed && !session.said_goodbye &&
           heard_until - session.last_heard < settings_.suspect_after && now >= session.probe_at &&
           now >= session.probe_not_before;
}

void SessionLife::apply_deadlines(KnownSession& session, milliseconds now, milliseconds heard_until) {
    if (session.state == SessionState::left) return;
    const milliseconds silent = heard_until - session.last_heard;
    if (session.state == SessionState::lost) {
        if (silent < settings_.lease || !std::exchange(session.lost_by_grace, false)) return;
        changes_.push_back({session.spec.session, session.spec.worker_id, SessionState::lost,
                            SessionState::lost, SessionEvent::lease_ended});
    } else if (silent >= settings_.lease) {
        apply(session, SessionEvent::lease_ended, now);
    } else if (session.unsubscribed_at && now - *session.unsubscribed_at >= settings_.disconnect_grace) {
        apply(session, SessionEvent::grace_ended, now);
    } else if (heard_until - session.last_proof >= settings_.unproven) {
        apply(session, SessionEvent::unproven, now);
    } else if (silent >= settings_.suspect_after && session.state != SessionState::suspect) {
        apply(session, SessionEvent::silence, now);
        session.nonce.clear();
    }
}

milliseconds SessionLife::next_check_of(const KnownSession& session, milliseconds heard_until) const {
    if (session.state == SessionState::left) return session.lost_at + settings_.lost_kept;
    milliseconds next = session.last_heard + settings_.lease;
    if (session.state == SessionState::lost) {
        const milliseconds forgotten = session.lost_at + settings_.lost_kept;
        return session.lost_by_grace ? std::min(next, forgotten) : forgotten;
    }
    next = std::min(next, session.last_proof + settings_.unproven);
    if (session.state == SessionState::ready || session.state == SessionState::greeted) {
        next = std::min(next, session.last_heard + settings_.suspect_after);
    }
    if (session.unsubscribed_at) next = std::min(next, *session.unsubscribed_at + settings_.disconnect_grace);
    const milliseconds probe = std::max(session.probe_at, session.probe_not_before);
    // A silent session gets no probe before its next message.
    if (awaits_probe(session.state) && session.subscribed && !session.said_goodbye &&
        std::max(probe, heard_until) - session.last_heard < settings_.suspect_after) {
        next = std::min(next, probe);
    }
    return next;
}

std::vector<ProbeDue> SessionLife::advance(milliseconds now, milliseconds heard_until) {
    std::vector<ProbeDue> probes;
    next_check_ = milliseconds::max();
    forget_at_ = milliseconds::max();
    if (!returns_judged_ && now < returns_until_) check_at(returns_until_);
    for (auto& [name, session] : sessions_) {
        apply_deadlines(session, now, heard_until);
        if (is_probe_due(session, now, heard_until)) {
            if (session.nonce.empty())
                session.nonce = settings_.nonce_prefix + std::to_string(++probes_opened_);
            session.probe_at = now + settings_.heartbeat;
            probes.push_back({name, session.nonce});
        }
        const milliseconds next = next_check_of(session, heard_until);
        if (has_ended(session.state)) forget_at_ = std::min(forget_at_, next);
        // A deadline may pass without effect: unread messages may still show life, and the caller may still
        // need a lost session. Look again soon.
        check_at(next > now ? next : now + kLookAgain);
    }
    return probes;
}

void SessionLife::restart_leases(milliseconds now) {
    for (auto& [name, session] : sessions_) {
        if (has_ended(session.state) && !session.lost_by_grace) continue;
        session.last_heard = now;
        session.last_proof = now;
        if (session.unsubscribed_at) session.unsubscribed_at = now;
    }
    if (!returns_judged_ && returns_until_ != milliseconds::max())
        returns_until_ = std::max(returns_until_, now + settings_.lease);
    check_at(now);
}

std::vector<std::string> SessionLife::forgettable(milliseconds now) const {
    std::vector<std::string> names;
    if (now < forget_at_) return names;
    for (const auto& [name, session] : sessions_) {
        if (has_ended(session.state) && now - session.lost_at >= settings_.lost_kept) names.push_back(name);
    }
    return names;
}

void SessionLife::forget(std::string_view name) {
    const auto found = sessions_.find(name);
    if (found != sessions_.end()) sessions_.erase(found);
}

bool SessionLife::take_end_of_returns(milliseconds now) {
    if (returns_judged_ || now < returns_until_) return false;
    return returns_judged_ = true;
}

bool SessionLife::is_gone(std::string_view name, milliseconds now) const {
    const KnownSession* session = find(name);
    return session == nullptr ? now >= returns_until_ : has_ended(session->state);
}

bool SessionLife::may_return(std::string_view name, milliseconds now) const {
    const KnownSession* session = find(name);
    return session != nullptr && session->lost_by_grace && now - session->last_heard < settings_.lease;
}

std::vector<SessionChange> SessionLife::take_changes() {
    return std::exchange(changes_, {});
}

}  // namespace tasker::core
