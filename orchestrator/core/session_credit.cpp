// The registry's credit: reserved for a turn, in flight, given back.
#include <algorithm>
#include <utility>

#include "orchestrator/core/session_registry.hpp"

namespace tasker::core {

std::int32_t SessionRegistry::free_credit(const Session& session) const {
    if (session.state != SessionState::ready || session.paused) return 0;
    return std::max(0, credit_limit(session.spec) - session.in_flight - session.reserved);
}

std::vector<CreditOffer> SessionRegistry::reserve(milliseconds now) {
    std::vector<CreditOffer> offers;
    if (const std::int32_t free = plain_.free(now); free > 0) {
        plain_.reserve();
        offers.push_back({"", free, 0, free, free, 1});
    }
    for (auto& [name, session] : sessions_) {
        const std::int32_t free = free_credit(session);
        if (free == 0) continue;
        offers.push_back(
            {name, free, session.in_flight, credit_limit(session.spec), session.spec.capacity, 0});
        session.reserved += free;
    }
    return offers;
}

void SessionRegistry::settle(const std::vector<CreditOffer>& offers, std::vector<TakenBatch> taken) {
    for (const CreditOffer& offer : offers) {
        if (offer.session.empty()) {
            plain_.unreserve();
        } else if (Session* session = find(offer.session)) {
            session->reserved -= offer.free;
        }
    }
    for (TakenBatch& batch : taken) {
        const std::string session_name = batch.session;
        if (session_name.empty()) plain_.open_batch(batch.batch_uuid);
        const Session* session = find(session_name);
        const bool present =
            session_name.empty() || (session != nullptr && session->state != SessionState::lost);
        take_credit(session_name, flights_.add(std::move(batch), present), false);
    }
    for (const CreditOffer& offer : offers) {
        if (Session* session = find(offer.session)) lower_excess(*session);
    }
}

void SessionRegistry::adopt(TakenBatch batch) {
    const std::string session_name = batch.session;
    if (session_name.empty() && flights_.session_of(batch.batch_uuid) == nullptr)
        plain_.open_batch(batch.batch_uuid);
    const bool lost = state_of(session_name) == SessionState::lost;
    take_credit(session_name, flights_.add(std::move(batch), !lost), true);
}

void SessionRegistry::take_credit(std::string_view name, std::int32_t taken, bool found) {
    in_flight_total_ += taken;
    Session* session = find(name);
    if (session == nullptr || taken == 0) return;
    session->in_flight += taken;
    const std::int32_t over = session->in_flight + session->reserved - credit_limit(session->spec);
    if (found) session->excess = std::max(session->excess, over);
}

void SessionRegistry::release_credit(std::string_view name, std::int32_t freed) {
    in_flight_total_ -= freed;
    Session* session = find(name);
    if (session == nullptr || freed == 0) return;
    session->in_flight -= freed;
    lower_excess(*session);
}

void SessionRegistry::lower_excess(Session& session) {
    const std::int32_t over = session.in_flight + session.reserved - credit_limit(session.spec);
    session.excess = std::max(0, std::min(session.excess, over));
}

void SessionRegistry::give_back(std::string_view batch_uuid, std::int64_t step_id, bool still_running) {
    // Of a session that is gone nothing runs any more, or nobody will ever say so.
    const std::string* owner = flights_.session_of(batch_uuid);
    if (owner != nullptr && find(*owner) == nullptr && returns_judged_) still_running = false;
    const Freed freed = flights_.reported(batch_uuid, step_id, still_running);
    if (freed.session == nullptr) return;
    release_credit(*freed.session, freed.credit);
    if (freed.session->empty() && flights_.unreported(batch_uuid).empty()) close_plain_batch(batch_uuid);
}

void SessionRegistry::give_back_all(std::string_view batch_uuid) {
    const std::string* session = flights_.session_of(batch_uuid);
    if (session == nullptr) return;
    release_credit(*session, flights_.reported_all(batch_uuid));
    if (session->empty()) close_plain_batch(batch_uuid);
}

void SessionRegistry::forget(std::string_view batch_uuid) {
    const std::string* owner = flights_.session_of(batch_uuid);
    if (owner == nullptr) return;
    const std::string session = *owner;
    const std::int32_t freed = flights_.forget(batch_uuid);
    release_credit(session, freed);
    if (freed > 0) credit_appeared_ = true;
    if (session.empty()) close_plain_batch(batch_uuid);
}

void SessionRegistry::close_plain_batch(std::string_view batch_uuid) {
    if (plain_.close_batch(batch_uuid)) credit_appeared_ = true;
}

bool SessionRegistry::note_running(std::string_view batch_uuid, std::int64_t step_id) {
    return flights_.note_running(batch_uuid, step_id);
}

}  // namespace tasker::core
