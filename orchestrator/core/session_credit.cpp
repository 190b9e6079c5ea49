// The registry's credit: reserved for a turn, in flight, given back.
#include <algorithm>
#include <utility>

#include "orchestrator/core/session_registry.hpp"

namespace tasker::core {

std::int32_t SessionRegistry::free_credit(const Session& session) const {
    if (session.state != SessionState::ready || session.paused) return 0;
    return std::max(0, credit_limit(session.spec) - session.in_flight - session.reserved);
}

std::vector<CreditOffer> SessionRegistry::reserve(milliseconds now, int lane) {
    std::vector<CreditOffer> offers;
    std::vector<CreditOffer> used_up;
    working_ |= 1U << lane;
    if (plain_.may_publish(now)) {
        // One batch is all there is to share.
        const bool free = plain_.free(now) > 0 && plain_.shares().offer(lane, 1, away_) > 0;
        plain_.shares()[lane].awaited = false;
        if (free) {
            plain_.reserve();
            const std::int32_t steps = plain_.batch_steps_max();
            offers.push_back({"", steps, 0, steps, steps, 1});
        } else {
            used_up.push_back({"", 0, 0, 0, 0, 1});
        }
    }
    offers.reserve(offers.size() + sessions_.size());
    for (auto& [name, kept] : sessions_) {
        Session& session = *kept;
        session.shares[lane].awaited = false;
        if (session.state != SessionState::ready || session.paused) continue;
        const std::int32_t free = session.shares.offer(lane, free_credit(session), away_);
        auto& list = free > 0 ? offers : used_up;
        list.push_back({session.name, free, session.in_flight, credit_limit(session.spec),
                        session.spec.capacity, 0, false, kept});
        session.reserved += free;
        session.shares[lane].reserved += free;
    }
    // Alone, nobody has to know what it would have liked to have.
    if (settings_.lanes > 1) offers.insert(offers.end(), used_up.begin(), used_up.end());
    return offers;
}

bool SessionRegistry::settle(const std::vector<CreditOffer>& offers, std::vector<TakenBatch> taken,
                             int lane) {
    working_ &= ~(1U << lane);
    for (const CreditOffer& offer : offers) {
        if (Session* session = offer.owner.get()) {
            session->reserved -= offer.free;
            session->shares[lane].reserved -= offer.free;
            set_hungry(*session, lane, offer.wanted);
        } else {
            if (offer.free > 0) plain_.unreserve();
            plain_.shares()[lane].hungry = offer.wanted;
        }
    }
    for (TakenBatch& batch : taken) {
        batch.lane = lane;
        const std::string session_name = batch.session;
        if (session_name.empty()) {
            plain_.open_batch(batch.batch_uuid);
            plain_.shares().note_taken(lane);
        }
        Session* session = find(session_name);
        const bool present =
            session_name.empty() || (session != nullptr && session->state != SessionState::lost);
        take_credit(session_name, lane, flights_.add(std::move(batch), present), false);
        if (session != nullptr) session->shares.note_taken(lane);
    }
    bool more_for_me = false;
    for (const CreditOffer& offer : offers) {
        Session* session = offer.owner.get();
        if (session != nullptr) lower_excess(*session);
        if (!offer.wanted || more_for_me) continue;
        more_for_me = session != nullptr ? session->shares.must_wake(lane, free_credit(*session), away_)
                                         : !plain_.reserved() && plain_.open_batches().empty() &&
                                               plain_.shares().must_wake(lane, 1, away_);
    }
    credit_moved_ = settings_.lanes > 1;
    return more_for_me && settings_.lanes > 1;
}

void SessionRegistry::set_away(int lane, bool away) {
    const std::uint32_t bit = 1U << lane;
    away_ = away ? away_ | bit : away_ & ~bit;
    credit_moved_ = settings_.lanes > 1;
}

std::uint32_t SessionRegistry::take_lanes_to_wake() {
    if (!std::exchange(credit_moved_, false)) return 0;
    std::uint32_t lanes = 0;
    std::uint32_t waiting = 0;  // lanes that somebody would have to wake, if there were something for them
    for (int lane = 0; lane < settings_.lanes; ++lane) {
        if (((away_ | working_) >> lane & 1U) == 0) waiting |= 1U << lane;
    }
    const auto look_at = [&](const LaneShares& shares, std::int32_t free) {
        for (int lane = 0; lane < settings_.lanes && free > 0; ++lane) {
            if (((waiting & ~lanes) >> lane & 1U) != 0 && shares.must_wake(lane, free, away_))
                lanes |= 1U << lane;
        }
    };
    const bool plain_free =
        plain_.subscriptions() == 1 && plain_.open_batches().empty() && !plain_.reserved();
    look_at(plain_.shares(), plain_free ? 1 : 0);
    for (const Session* session : hungry_) {
        if ((waiting & ~lanes) == 0) break;
        if ((session->hungry_lanes & waiting & ~lanes) != 0) look_at(session->shares, free_credit(*session));
    }
    return lanes;
}

void SessionRegistry::set_hungry(Session& session, int lane, bool hungry) {
    if (std::exchange(session.shares[lane].hungry, hungry) == hungry || session.forgotten) return;
    session.hungry_lanes ^= 1U << lane;
    if (session.hungry_lanes == 0) {
        hungry_.erase(&session);
    } else {
        hungry_.insert(&session);
    }
}

void SessionRegistry::forget_hunger(Session& session) {
    for (int lane = 0; lane < kLanesMax; ++lane) set_hungry(session, lane, false);
    session.forgotten = true;
}

void SessionRegistry::adopt(TakenBatch batch) {
    const std::string session_name = batch.session;
    if (session_name.empty() && flights_.session_of(batch.batch_uuid) == nullptr)
        plain_.open_batch(batch.batch_uuid);
    const bool lost = state_of(session_name) == SessionState::lost;
    const int lane = batch.lane;
    take_credit(session_name, lane, flights_.add(std::move(batch), !lost), true);
}

// Of batches of several lanes, or of lanes that are not known: rare, so all of them are counted anew.
void SessionRegistry::take_credit(std::string_view name, std::int32_t taken, bool found) {
    take_credit(name, 0, taken, found);
    if (Session* session = find(name); session != nullptr && taken > 0) count_lanes(*session);
}

void SessionRegistry::release_credit(std::string_view name, std::int32_t freed) {
    release_credit(name, 0, freed);
    if (Session* session = find(name); session != nullptr && freed > 0) count_lanes(*session);
}

void SessionRegistry::count_lanes(Session& session) const {
    const auto held = flights_.count_held_by_lane(session.spec.session);
    for (int lane = 0; lane < kLanesMax; ++lane)
        session.shares[lane].in_flight = held[static_cast<std::size_t>(lane)];
}

void SessionRegistry::take_credit(std::string_view name, int lane, std::int32_t taken, bool found) {
    in_flight_total_ += taken;
    Session* session = find(name);
    if (session == nullptr || taken == 0) return;
    session->in_flight += taken;
    session->shares[lane].in_flight += taken;
    const std::int32_t over = session->in_flight + session->reserved - credit_limit(session->spec);
    if (found) session->excess = std::max(session->excess, over);
}

void SessionRegistry::release_credit(std::string_view name, int lane, std::int32_t freed) {
    in_flight_total_ -= freed;
    Session* session = find(name);
    if (session == nullptr || freed == 0) return;
    session->in_flight -= freed;
    session->shares[lane].in_flight -= freed;
    credit_moved_ = settings_.lanes > 1;
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
    release_credit(*freed.session, freed.lane, freed.credit);
    // The report that says so is on its way to its lane.
    if (Session* session = find(*freed.session); session != nullptr && freed.credit > 0)
        session->shares[freed.lane].awaited = true;
    if (freed.session->empty() && flights_.unreported(batch_uuid).empty()) {
        plain_.shares()[freed.lane].awaited = true;
        close_plain_batch(batch_uuid);
    }
}

void SessionRegistry::give_back_all(std::string_view batch_uuid) {
    const std::string* session = flights_.session_of(batch_uuid);
    if (session == nullptr) return;
    const int lane = flights_.lane_of(batch_uuid);
    release_credit(*session, lane, flights_.reported_all(batch_uuid));
    if (!session->empty()) return;
    plain_.shares()[lane].awaited = true;
    close_plain_batch(batch_uuid);
}

void SessionRegistry::forget(std::string_view batch_uuid) {
    const std::string* owner = flights_.session_of(batch_uuid);
    if (owner == nullptr) return;
    const std::string session = *owner;
    const int lane = flights_.lane_of(batch_uuid);
    const std::int32_t freed = flights_.forget(batch_uuid);
    release_credit(session, lane, freed);
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
