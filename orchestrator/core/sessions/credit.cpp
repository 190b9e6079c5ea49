#include "orchestrator/core/sessions/credit.hpp"

#include <algorithm>

namespace tasker::core {

CreditAccount* CreditLedger::look_up(std::string_view session) {
    const auto found = accounts_.find(session);
    return found == accounts_.end() ? nullptr : found->second.get();
}

const CreditAccount* CreditLedger::find(std::string_view session) const {
    const auto found = accounts_.find(session);
    return found == accounts_.end() ? nullptr : found->second.get();
}

// ---------------------------------------------------------------- accounts

void CreditLedger::set_limit(std::string_view session, std::int32_t limit, std::int32_t capacity) {
    auto place = accounts_.find(session);
    if (place == accounts_.end()) {
        place = accounts_.emplace(std::string(session), std::make_shared<CreditAccount>(session)).first;
        place->second->in_flight = count_lanes(*place->second);
    }
    CreditAccount& account = *place->second;
    account.limit = limit;
    account.capacity = capacity;
    // A lowered limit takes nothing back that is in flight.
    account.excess = std::max(0, account.in_flight + account.reserved - limit);
}

void CreditLedger::open(std::string_view session) {
    set_state(session, AccountState::open);
}

void CreditLedger::hold(std::string_view session) {
    set_state(session, AccountState::held);
}

void CreditLedger::set_state(std::string_view session, AccountState state) {
    CreditAccount* account = look_up(session);
    if (account == nullptr || std::exchange(account->state, state) == state) return;
    if (state == AccountState::open) credit_appeared_ = true;
}

std::int32_t CreditLedger::close(std::string_view session) {
    set_state(session, AccountState::closed);
    const std::int32_t freed = flights_.release_session(session);
    release_of_all_lanes(look_up(session), freed);
    return freed;
}

bool CreditLedger::forget_account(std::string_view session) {
    const auto found = accounts_.find(session);
    if (found == accounts_.end()) return true;
    CreditAccount& account = *found->second;
    if (account.reserved > 0) return false;
    for (int lane = 0; lane < kLanesMax; ++lane) set_hungry(account, lane, false);
    account.forgotten = true;
    accounts_.erase(found);
    return true;
}

void CreditLedger::retake(std::string_view session, const Inventory& inventory) {
    const std::int32_t taken = flights_.retake(session, inventory);
    if (taken == 0) return;
    CreditAccount* account = look_up(session);
    take(account, 0, taken);
    if (account == nullptr) return;
    count_lanes(*account);
    raise_excess(*account);
}

void CreditLedger::release_unlisted(std::string_view session, const Inventory& inventory) {
    const std::int32_t freed = flights_.release_unlisted(session, inventory);
    if (freed == 0) return;
    release_of_all_lanes(look_up(session), freed);
    credit_appeared_ = true;
}

// ---------------------------------------------------------------- turns

std::int32_t CreditLedger::free_of(const CreditAccount& account) {
    if (account.state != AccountState::open) return 0;
    return std::max(0, account.limit - account.in_flight - account.reserved);
}

std::vector<CreditOffer> CreditLedger::reserve(milliseconds now, int lane) {
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
    offers.reserve(offers.size() + accounts_.size());
    for (auto& [name, kept] : accounts_) {
        CreditAccount& account = *kept;
        account.shares[lane].awaited = false;
        if (account.state != AccountState::open) continue;
        const std::int32_t free = account.shares.offer(lane, free_of(account), away_);
        auto& list = free > 0 ? offers : used_up;
        list.push_back(
            {account.session, free, account.in_flight, account.limit, account.capacity, 0, false, kept});
        account.reserved += free;
        account.shares[lane].reserved += free;
    }
    // With one lane nobody uses the marks of wanted sessions.
    if (lanes_ > 1) offers.insert(offers.end(), used_up.begin(), used_up.end());
    return offers;
}

bool CreditLedger::settle(const std::vector<CreditOffer>& offers, std::vector<TakenBatch> taken, int lane) {
    working_ &= ~(1U << lane);
    for (const CreditOffer& offer : offers) {
        if (CreditAccount* account = offer.account.get()) {
            account->reserved -= offer.free;
            account->shares[lane].reserved -= offer.free;
            set_hungry(*account, lane, offer.wanted);
        } else {
            if (offer.free > 0) plain_.unreserve();
            plain_.shares()[lane].hungry = offer.wanted;
        }
    }
    for (TakenBatch& batch : taken) enter(std::move(batch), lane);
    bool more_for_me = false;
    for (const CreditOffer& offer : offers) {
        if (offer.account != nullptr) lower_excess(*offer.account);
        if (offer.wanted && !more_for_me) more_for_me = must_wake(offer, lane);
    }
    credit_moved_ = lanes_ > 1;
    return more_for_me && lanes_ > 1;
}

// Takes the credit of a batch that a turn claimed. If its session was lost meanwhile the batch holds no
// credit, since nobody would give that back.
void CreditLedger::enter(TakenBatch batch, int lane) {
    batch.lane = lane;
    if (batch.session.empty()) {
        plain_.open_batch(batch.batch_uuid);
        plain_.shares().record_taken(lane);
        in_flight_ += flights_.add(std::move(batch), true);
        return;
    }
    CreditAccount* account = look_up(batch.session);
    const bool is_there = account != nullptr && account->state != AccountState::closed;
    take(account, lane, flights_.add(std::move(batch), is_there));
    if (account != nullptr) account->shares.record_taken(lane);
}

bool CreditLedger::must_wake(const CreditOffer& offer, int lane) const {
    if (offer.account != nullptr)
        return offer.account->shares.must_wake(lane, free_of(*offer.account), away_);
    return !plain_.reserved() && plain_.open_batches().empty() && plain_.shares().must_wake(lane, 1, away_);
}

void CreditLedger::set_away(int lane, bool away) {
    const std::uint32_t bit = 1U << lane;
    away_ = away ? away_ | bit : away_ & ~bit;
    credit_moved_ = lanes_ > 1;
}

std::uint32_t CreditLedger::take_lanes_to_wake() {
    if (!std::exchange(credit_moved_, false)) return 0;
    std::uint32_t lanes = 0;
    std::uint32_t waiting = 0;  // lanes at rest, which must be woken if there is credit for them
    for (int lane = 0; lane < lanes_; ++lane) {
        if (((away_ | working_) >> lane & 1U) == 0) waiting |= 1U << lane;
    }
    const auto look_at = [&](const LaneShares& shares, std::int32_t free) {
        for (int lane = 0; lane < lanes_ && free > 0; ++lane) {
            if (((waiting & ~lanes) >> lane & 1U) != 0 && shares.must_wake(lane, free, away_))
                lanes |= 1U << lane;
        }
    };
    const bool plain_free =
        plain_.subscriptions() == 1 && plain_.open_batches().empty() && !plain_.reserved();
    look_at(plain_.shares(), plain_free ? 1 : 0);
    for (const CreditAccount* account : hungry_) {
        if ((waiting & ~lanes) == 0) break;
        if ((account->hungry_lanes & waiting & ~lanes) != 0) look_at(account->shares, free_of(*account));
    }
    return lanes;
}

void CreditLedger::set_hungry(CreditAccount& account, int lane, bool hungry) {
    if (std::exchange(account.shares[lane].hungry, hungry) == hungry || account.forgotten) return;
    account.hungry_lanes ^= 1U << lane;
    if (account.hungry_lanes == 0) {
        hungry_.erase(&account);
    } else {
        hungry_.insert(&account);
    }
}

// ---------------------------------------------------------------- batches

void CreditLedger::adopt(TakenBatch batch) {
    const int lane = batch.lane;
    if (batch.session.empty()) {
        if (flights_.session_of(batch.batch_uuid) == nullptr) plain_.open_batch(batch.batch_uuid);
        in_flight_ += flights_.add(std::move(batch), true);
        return;
    }
    CreditAccount* account = look_up(batch.session);
    const bool is_lost = account != nullptr && account->state == AccountState::closed;
    const std::int32_t taken = flights_.add(std::move(batch), !is_lost);
    take(account, lane, taken);
    if (account != nullptr && taken > 0) raise_excess(*account);
}

void CreditLedger::give_back(std::string_view batch_uuid, std::int64_t step_id, bool still_running) {
    if (still_running) {
        // The plain worker sends no inventory, so nothing would ever end the wait for its handler.
        const std::string* session = flights_.session_of(batch_uuid);
        still_running = session != nullptr && !session->empty();
    }
    const Freed freed = flights_.reported(batch_uuid, step_id, still_running);
    if (freed.session == nullptr) return;
    if (!freed.session->empty()) {
        if (freed.credit == 0) return;
        CreditAccount* account = look_up(*freed.session);
        release(account, freed.lane, freed.credit);
        // The report itself is on its way to that lane.
        if (account != nullptr) account->shares[freed.lane].awaited = true;
        return;
    }
    in_flight_ -= freed.credit;
    if (!flights_.unreported(batch_uuid).empty()) return;
    plain_.shares()[freed.lane].awaited = true;
    close_plain_batch(batch_uuid);
}

void CreditLedger::give_back_all(std::string_view batch_uuid) {
    const std::string* session = flights_.session_of(batch_uuid);
    if (session == nullptr) return;
    const int lane = flights_.lane_of(batch_uuid);
    release(look_up(*session), lane, flights_.reported_all(batch_uuid));
    if (!session->empty()) return;
    plain_.shares()[lane].awaited = true;
    close_plain_batch(batch_uuid);
}

void CreditLedger::forget(std::string_view batch_uuid) {
    const std::string* session = flights_.session_of(batch_uuid);
    if (session == nullptr) return;
    const bool is_plain = session->empty();
    const int lane = flights_.lane_of(batch_uuid);
    CreditAccount* account = look_up(*session);
    const std::int32_t freed = flights_.forget(batch_uuid);
    release(account, lane, freed);
    if (freed > 0) credit_appeared_ = true;
    if (is_plain) close_plain_batch(batch_uuid);
}

void CreditLedger::close_plain_batch(std::string_view batch_uuid) {
    if (plain_.close_batch(batch_uuid)) credit_appeared_ = true;
}

void CreditLedger::take(CreditAccount* account, int lane, std::int32_t taken) {
    in_flight_ += taken;
    if (account == nullptr) return;
    account->in_flight += taken;
    account->shares[lane].in_flight += taken;
}

void CreditLedger::release(CreditAccount* account, int lane, std::int32_t freed) {
    in_flight_ -= freed;
    if (account == nullptr || freed == 0) return;
    account->in_flight -= freed;
    account->shares[lane].in_flight -= freed;
    credit_moved_ = lanes_ > 1;
    lower_excess(*account);
}

// Of batches of several lanes: rare, so all of them are counted anew.
void CreditLedger::release_of_all_lanes(CreditAccount* account, std::int32_t freed) {
    release(account, 0, freed);
    if (account != nullptr && freed > 0) count_lanes(*account);
}

std::int32_t CreditLedger::count_lanes(CreditAccount& account) const {
    const auto held = flights_.count_held_by_lane(account.session);
    std::int32_t all = 0;
    for (int lane = 0; lane < kLanesMax; ++lane) {
        account.shares[lane].in_flight = held[static_cast<std::size_t>(lane)];
        all += held[static_cast<std::size_t>(lane)];
    }
    return all;
}

void CreditLedger::raise_excess(CreditAccount& account) {
    account.excess = std::max(account.excess, account.in_flight + account.reserved - account.limit);
}

void CreditLedger::lower_excess(CreditAccount& account) {
    const std::int32_t over = account.in_flight + account.reserved - account.limit;
    account.excess = std::max(0, std::min(account.excess, over));
}

}  // namespace tasker::core
