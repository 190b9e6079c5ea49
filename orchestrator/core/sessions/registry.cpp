#include "orchestrator/core/sessions/registry.hpp"

#include <algorithm>
#include <utility>

namespace tasker::core {

SessionRegistry::SessionRegistry(RegistrySettings settings)
    : plain_(settings.plain_batch_steps_max), life_(settings), ledger_(settings.lanes, plain_) {}

// Every change of a session's state has its effect on the credit of that session.
void SessionRegistry::follow_changes() {
    for (SessionChange& change : life_.take_changes()) {
        if (has_ended(change.to)) {
            change.credit_released = ledger_.close(change.session);
        } else {
            follow_pause(change.session);
        }
        changes_.push_back(std::move(change));
    }
}

void SessionRegistry::follow_pause(std::string_view session) {
    const KnownSession* known = life_.find(session);
    if (known == nullptr || has_ended(known->state)) return;
    known->takes_work() ? ledger_.open(session) : ledger_.hold(session);
}

// ---------------------------------------------------------------- messages and subscriptions

HelloVerdict SessionRegistry::on_hello(SessionSpec spec, milliseconds now) {
    const std::string session = spec.session;
    if (life_.on_hello(std::move(spec), now) == HelloVerdict::duplicate_session)
        return HelloVerdict::duplicate_session;
    const SessionSpec& announced = life_.find(session)->spec;
    // Lanes remember which sessions serve a key: they must look again, also for the plain worker.
    if (plain_.on_announced(announced.handlers)) must_look_again_ = true;
    ledger_.set_limit(session, credit_limit(announced), announced.capacity);
    follow_changes();
    return HelloVerdict::accepted;
}

void SessionRegistry::on_subscribed(std::string_view session, milliseconds now) {
    life_.on_subscribed(session, now);
    follow_changes();
}

void SessionRegistry::on_unsubscribed(std::string_view session, milliseconds now) {
    life_.on_unsubscribed(session, now);
    follow_changes();
}

bool SessionRegistry::on_ready(std::string_view session, std::string_view nonce, const Inventory& inventory,
                               milliseconds now) {
    if (!life_.on_ready(session, nonce, now)) return false;
    follow_changes();
    ledger_.retake(session, inventory);
    ledger_.release_unlisted(session, inventory);
    return true;
}

bool SessionRegistry::on_heartbeat(std::string_view session, const Inventory& inventory, milliseconds now,
                                   bool is_recent) {
    if (!life_.on_heartbeat(session, now, is_recent)) return false;
    follow_changes();
    follow_pause(session);
    ledger_.release_unlisted(session, inventory);
    return true;
}

void SessionRegistry::on_goodbye(std::string_view session, milliseconds now, bool drained) {
    life_.on_goodbye(session, now, drained);
    follow_changes();
}

void SessionRegistry::on_drain(std::string_view session, milliseconds now) {
    life_.on_drain(session, now);
    follow_changes();
}

void SessionRegistry::on_batch_ignored(std::string_view session, milliseconds now) {
    life_.on_batch_ignored(session, now);
    follow_changes();
}

void SessionRegistry::remove_handler(std::string_view session, std::string_view handler_class) {
    if (life_.remove_handler(session, handler_class)) must_look_again_ = true;
}

void SessionRegistry::pause(std::string_view session) {
    life_.pause(session);
    follow_pause(session);
}

PlainNotice SessionRegistry::on_plain_subscribed() {
    const PlainNotice notice = plain_.on_subscribed();
    if (notice == PlainNotice::first_subscriber) must_look_again_ = true;
    return notice;
}

PlainNotice SessionRegistry::on_plain_unsubscribed() {
    const PlainNotice notice = plain_.on_unsubscribed();
    if (notice == PlainNotice::one_left) must_look_again_ = true;
    return notice;
}

// ---------------------------------------------------------------- time

std::vector<ProbeDue> SessionRegistry::advance(milliseconds now, milliseconds heard_until) {
    for (const std::string& session : life_.forgettable(now)) {
        if (ledger_.forget_account(session)) life_.forget(session);
    }
    std::vector<ProbeDue> probes = life_.advance(now, heard_until);
    follow_changes();
    if (plain_.subscriptions() > 0 && now >= plain_.opens_at() && !std::exchange(plain_opened_, true))
        must_look_again_ = true;
    return probes;
}

void SessionRegistry::forget_ended() {
    std::vector<std::string> ended;
    for (const auto& [name, session] : life_.sessions()) {
        // One that is lost by its grace may come back, and steps wait for it.
        if (has_ended(session.state) && !session.lost_by_grace) ended.push_back(name);
    }
    for (const std::string& session : ended) {
        if (ledger_.forget_account(session)) life_.forget(session);
    }
}

milliseconds SessionRegistry::next_check() const {
    const bool plain_waits = plain_.subscriptions() > 0 && !plain_opened_;
    return plain_waits ? std::min(life_.next_check(), plain_.opens_at()) : life_.next_check();
}

std::vector<std::string> SessionRegistry::never_returned(milliseconds now) {
    std::vector<std::string> missing;
    if (!life_.take_end_of_returns(now)) return missing;
    for (const std::string& session : flights().sessions()) {
        if (life_.find(session) != nullptr) continue;
        ledger_.close(session);
        missing.push_back(session);
    }
    return missing;
}

// ---------------------------------------------------------------- credit and questions

void SessionRegistry::give_back(std::string_view batch_uuid, std::int64_t step_id, bool still_running) {
    if (still_running && life_.returns_are_over()) {
        // A session that is gone runs nothing any more, or will never report that it stopped.
        const std::string* session = flights().session_of(batch_uuid);
        still_running = session != nullptr && life_.find(*session) != nullptr;
    }
    ledger_.give_back(batch_uuid, step_id, still_running);
}

bool SessionRegistry::serves(std::string_view session, std::string_view namespace_name,
                             std::string_view handler_class) const {
    if (session.empty()) return plain_.serves(handler_class);
    const KnownSession* known = life_.find(session);
    return known != nullptr && known->serves(namespace_name, handler_class);
}

std::optional<SessionState> SessionRegistry::state_of(std::string_view session) const {
    const KnownSession* known = life_.find(session);
    if (known == nullptr) return std::nullopt;
    return known->state;
}

std::vector<SessionChange> SessionRegistry::take_changes() {
    return std::exchange(changes_, {});
}

bool SessionRegistry::take_credit_appeared() {
    const bool appeared = ledger_.take_credit_appeared();
    return std::exchange(must_look_again_, false) || appeared;
}

}  // namespace tasker::core
