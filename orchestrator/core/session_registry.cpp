#include "orchestrator/core/session_registry.hpp"

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

SessionRegistry::SessionRegistry(RegistrySettings settings)
    : settings_(std::move(settings)), plain_(settings_.plain_batch_steps_max) {}

SessionRegistry::Session* SessionRegistry::find(std::string_view session) {
    const auto found = sessions_.find(session);
    return found == sessions_.end() ? nullptr : found->second.get();
}

const SessionRegistry::Session* SessionRegistry::find(std::string_view session) const {
    const auto found = sessions_.find(session);
    return found == sessions_.end() ? nullptr : found->second.get();
}

// ---------------------------------------------------------------- what the sockets tell

HelloVerdict SessionRegistry::on_hello(SessionSpec spec, milliseconds now) {
    auto [place, added] = sessions_.try_emplace(spec.session);
    if (added) place->second = std::make_shared<Session>(spec.session);
    Session& session = *place->second;
    if (!added && (session.spec.host != spec.host || session.spec.pid != spec.pid)) {
        return HelloVerdict::duplicate_session;
    }
    // Whoever remembers what sessions serve must look again, the plain worker's share included.
    if (plain_.on_announced(spec.handlers)) credit_appeared_ = true;
    session.spec = std::move(spec);
    session.said_goodbye = false;
    session.drained = false;
    session.removed_handlers.clear();
    const auto subscribed = subscriptions_.find(session.spec.session);
    session.subscribed = subscribed != subscriptions_.end() && subscribed->second > 0;
    if (added) {
        session.in_flight = flights_.count_held(session.spec.session);
        count_lanes(session);
        changes_.push_back({session.spec.session, session.spec.worker_id, SessionState::greeted,
                            SessionState::greeted, SessionEvent::hello});
    }
    // A lowered capacity leaves in flight what was given before.
    session.excess = std::max(0, session.in_flight + session.reserved - credit_limit(session.spec));
    session.last_heard = now;
    apply(session, SessionEvent::hello, now);
    require_probe(session, now);
    return HelloVerdict::accepted;
}

void SessionRegistry::on_subscribed(std::string_view name, milliseconds now) {
    auto place = subscriptions_.find(name);
    if (place == subscriptions_.end()) place = subscriptions_.emplace(std::string(name), 0).first;
    ++place->second;
    Session* session = find(name);
    if (session == nullptr) return;
    session->subscribed = true;
    session->unsubscribed_at.reset();
    apply(*session, SessionEvent::subscribed, now);
    require_probe(*session, now);
}

void SessionRegistry::on_unsubscribed(std::string_view name, milliseconds now) {
    const auto place = subscriptions_.find(name);
    if (place == subscriptions_.end()) return;
    const bool none_left = --place->second == 0;
    if (none_left) subscriptions_.erase(place);
    Session* session = find(name);
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

bool SessionRegistry::on_ready(std::string_view name, std::string_view nonce, const Inventory& inventory,
                               milliseconds now) {
    Session* session = find(name);
    if (session == nullptr) return false;
    heard(*session, now);
    if (session->nonce.empty() || session->nonce != nonce || !session->subscribed) return false;
    session->nonce.clear();
    session->paused = false;
    apply(*session, SessionEvent::probe_answered, now);
    take_credit(name, flights_.retake(name, inventory), true);
    release_credit(name, flights_.release_unlisted(name, inventory));
    return true;
}

bool SessionRegistry::on_heartbeat(std::string_view name, const Inventory& inventory, milliseconds now) {
    Session* session = find(name);
    if (session == nullptr || session->said_goodbye) return false;
    const bool was_lost = session->state == SessionState::lost;
    session->last_heard = now;
    apply(*session, SessionEvent::heard, now);
    if (was_lost) require_probe(*session, now);
    heard(*session, now);
    if (std::exchange(session->paused, false) && session->state == SessionState::ready)
        credit_appeared_ = true;
    if (const std::int32_t freed = flights_.release_unlisted(name, inventory); freed > 0) {
        release_credit(name, freed);
        credit_appeared_ = true;
    }
    return true;
}

void SessionRegistry::on_heard(std::string_view name, milliseconds now) {
    if (Session* session = find(name)) heard(*session, now);
}

void SessionRegistry::heard(Session& session, milliseconds now) {
    session.last_heard = now;
    if (awaits_probe(session.state) && session.subscribed) {
        check_at(std::max(session.probe_at, session.probe_not_before));
    }
}

void SessionRegistry::on_goodbye(std::string_view name, milliseconds now, bool drained) {
    Session* session = find(name);
    if (session == nullptr) return;
    session->said_goodbye = true;
    session->drained = drained;
    apply(*session, SessionEvent::goodbye, now);
}

void SessionRegistry::on_drain(std::string_view name, milliseconds now) {
    if (Session* session = find(name)) apply(*session, SessionEvent::drain, now);
}

void SessionRegistry::on_batch_ignored(std::string_view name, milliseconds now) {
    Session* session = find(name);
    if (session == nullptr) return;
    session->probe_delay = session->probe_delay.count() == 0
                               ? settings_.probe_delay_first
                               : std::min(session->probe_delay * 2, settings_.probe_delay_max);
    session->probe_not_before = now + session->probe_delay;
    apply(*session, SessionEvent::batch_ignored, now);
    require_probe(*session, now);
}

void SessionRegistry::on_batch_accepted(std::string_view name) {
    Session* session = find(name);
    if (session == nullptr) return;
    session->probe_delay = milliseconds{0};
    session->probe_not_before = milliseconds{0};
}

void SessionRegistry::remove_handler(std::string_view name, std::string_view handler_class) {
    Session* session = find(name);
    if (session == nullptr) return;
    auto& removed = session->removed_handlers;
    if (std::find(removed.begin(), removed.end(), handler_class) == removed.end()) {
        removed.emplace_back(handler_class);
        credit_appeared_ = true;  // what the session serves has changed
    }
}

void SessionRegistry::pause(std::string_view name) {
    if (Session* session = find(name)) session->paused = true;
}

PlainNotice SessionRegistry::on_plain_subscribed() {
    const PlainNotice notice = plain_.on_subscribed();
    check_at(plain_.opens_at());
    if (notice == PlainNotice::first_subscriber) credit_appeared_ = true;
    return notice;
}

PlainNotice SessionRegistry::on_plain_unsubscribed() {
    const PlainNotice notice = plain_.on_unsubscribed();
    if (notice == PlainNotice::one_left) credit_appeared_ = true;
    return notice;
}

// ---------------------------------------------------------------- states and time

void SessionRegistry::apply(Session& session, SessionEvent event, milliseconds now) {
    const auto next = next_state(session.state, event);
    if (!next || *next == session.state) return;
    SessionChange change{session.spec.session, session.spec.worker_id, session.state, *next, event};
    session.state = *next;
    if (*next == SessionState::lost) {
        session.lost_at = now;
        session.nonce.clear();
        session.unsubscribed_at.reset();
        change.drained = session.drained && event == SessionEvent::goodbye;
        change.credit_released = flights_.release_session(session.spec.session);
        release_credit(session.spec.session, change.credit_released);
        check_at(now + settings_.lost_kept);
    }
    if (*next == SessionState::ready) credit_appeared_ = true;
    changes_.push_back(std::move(change));
}

void SessionRegistry::require_probe(Session& session, milliseconds now) {
    session.nonce.clear();  // an answer to an older probe proves nothing about the sockets of now
    session.probe_at = now;
    check_at(now);
}

void SessionRegistry::check_at(milliseconds when) {
    next_check_ = std::min(next_check_, when);
}

bool SessionRegistry::is_probe_due(const Session& session, milliseconds now, milliseconds heard_until) const {
    return awaits_probe(session.state) && session.subscribed && !session.said_goodbye &&
           heard_until - session.last_heard < settings_.suspect_after && now >= session.probe_at &&
           now >= session.probe_not_before;
}

void SessionRegistry::advance_session(Session& session, milliseconds now, milliseconds heard_until) {
    if (session.state == SessionState::lost) return;
    const milliseconds silent = heard_until - session.last_heard;
    if (silent >= settings_.lease) {
        apply(session, SessionEvent::lease_ended, now);
    } else if (session.unsubscribed_at && now - *session.unsubscribed_at >= settings_.disconnect_grace) {
        apply(session, SessionEvent::grace_ended, now);
    } else if (silent >= settings_.suspect_after && session.state != SessionState::suspect) {
        apply(session, SessionEvent::silence, now);
        session.nonce.clear();
    }
}

milliseconds SessionRegistry::next_check_of(const Session& session, milliseconds heard_until) const {
    if (session.state == SessionState::lost) return session.lost_at + settings_.lost_kept;
    milliseconds next = session.last_heard + settings_.lease;
    if (session.state == SessionState::ready || session.state == SessionState::greeted) {
        next = std::min(next, session.last_heard + settings_.suspect_after);
    }
    if (session.unsubscribed_at) next = std::min(next, *session.unsubscribed_at + settings_.disconnect_grace);
    const milliseconds probe = std::max(session.probe_at, session.probe_not_before);
    // A silent session is not probed before it is heard again.
    if (awaits_probe(session.state) && session.subscribed && !session.said_goodbye &&
        std::max(probe, heard_until) - session.last_heard < settings_.suspect_after) {
        next = std::min(next, probe);
    }
    return next;
}

std::vector<ProbeDue> SessionRegistry::advance(milliseconds now, milliseconds heard_until) {
    std::vector<ProbeDue> probes;
    next_check_ = milliseconds::max();
    if (!returns_judged_ && now < returns_until_) check_at(returns_until_);
    if (plain_.subscriptions() > 0 && plain_.opens_at() != milliseconds::max()) {
        if (now >= plain_.opens_at()) {
            if (!std::exchange(plain_opened_, true)) credit_appeared_ = true;
        } else {
            check_at(plain_.opens_at());
        }
    }
    for (auto place = sessions_.begin(); place != sessions_.end();) {
        Session& session = *place->second;
        advance_session(session, now, heard_until);
        if (session.state == SessionState::lost && session.reserved == 0 &&
            now - session.lost_at >= settings_.lost_kept) {
            forget_hunger(session);
            place = sessions_.erase(place);
            continue;
        }
        if (is_probe_due(session, now, heard_until)) {
            if (session.nonce.empty())
                session.nonce = settings_.nonce_prefix + std::to_string(++probes_opened_);
            session.probe_at = now + settings_.heartbeat;
            probes.push_back({session.spec.session, session.nonce});
        }
        // A deadline that passed without effect (unread messages may still show life; a lost session that is
        // reserved) is looked at again soon.
        const milliseconds next = next_check_of(session, heard_until);
        check_at(next > now ? next : now + kLookAgain);
        ++place;
    }
    return probes;
}

std::vector<std::string> SessionRegistry::never_returned(milliseconds now) {
    if (returns_judged_ || now < returns_until_) return {};
    returns_judged_ = true;
    std::vector<std::string> missing;
    for (const std::string& name : flights_.sessions()) {
        if (find(name) != nullptr) continue;
        release_credit(name, flights_.release_session(name));
        missing.push_back(name);
    }
    return missing;
}

void SessionRegistry::restart_leases(milliseconds now) {
    for (auto& [name, session] : sessions_) {
        if (session->state == SessionState::lost) continue;
        session->last_heard = now;
        if (session->unsubscribed_at) session->unsubscribed_at = now;
    }
    if (!returns_judged_ && returns_until_ != milliseconds::max())
        returns_until_ = std::max(returns_until_, now + settings_.lease);
    check_at(now);
}

}  // namespace tasker::core
