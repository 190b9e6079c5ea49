#include "orchestrator/engine/io/dispatch.hpp"

#include <algorithm>
#include <utility>

#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;
namespace {

constexpr int kTimesAbsentMax = 2;
// Nothing signals that a queue has room again.
constexpr milliseconds kBlockedPause{10};

}  // namespace

void IoDispatch::publish(ports::OutboundBatch batch, milliseconds now) {
    if (batch.session.empty()) {
        publish_plain(std::move(batch), now);
        return;
    }
    if (!registry_.with([&](auto& registry) { return registry.is_ready(batch.session); })) {
        return_undelivered(batch);
        return;
    }
    Batch& kept = keep(std::move(batch));
    if (kept.sends > 0) return;  // published twice: the first one counts
    send(kept, now);
}

// A plain worker cannot tell a repeated batch from a new one, so it is sent at most once, and only while
// exactly one plain subscription exists.
void IoDispatch::publish_plain(ports::OutboundBatch batch, milliseconds now) {
    const bool allowed = registry_.with([&](const core::SessionRegistry& registry) {
        const auto& open = registry.plain().open_batches();
        return registry.plain().may_publish(now) && open.size() == 1 && open.front() == batch.batch_uuid;
    });
    if (!allowed || !sender_.steps("", batch.message)) {
        return_undelivered(batch);
        return;
    }
    count(counters_.batches_sent);
}

void IoDispatch::return_undelivered(const ports::OutboundBatch& batch) {
    count(counters_.batches_undelivered);
    registry_.with([&](auto& registry) { registry.forget(batch.batch_uuid); });
    undelivered_.insert(batch.batch_uuid);
    post_.event(ports::Undelivered{batch.session, batch.batch_uuid});
}

void IoDispatch::adopt(ports::AdoptedBatch adopted, milliseconds now) {
    // Undelivered was posted before and may still wait to be written: sent now, the batch would run beside
    // the next attempt of its steps.
    if (undelivered_.contains(adopted.batch.batch_uuid)) {
        return_undelivered(adopted.batch);
        return;
    }
    // What a plain worker got before the restart cannot be sent again; its results are awaited.
    if (adopted.batch.session.empty()) return;
    // Adopted again after the listener has reconnected: what is known here is newer.
    if (find(adopted.batch.batch_uuid) != nullptr) return;
    Batch& batch = keep(std::move(adopted.batch));
    batch.sends = 1;  // an earlier life may have sent it: it cannot count as never sent
    batch.accepted = adopted.accepted;
    batch.accepted_n = heartbeat_n_;
    batch.announced = adopted.accepted;
    const bool ready = registry_.with([&](auto& registry) { return registry.is_ready(batch.out.session); });
    // Its inventory came before the adoption: ask by sending, a session that knows the batch answers as
    // before.
    ready ? send(batch, now) : wait_for_session(batch, now);
}

IoDispatch::Batch& IoDispatch::keep(ports::OutboundBatch out) {
    auto& place = batches_[out.batch_uuid];
    if (place) return *place;
    place = std::make_unique<Batch>();
    place->out = std::move(out);
    by_session_[place->out.session].push_back(place.get());
    counters_.open_batches.store(static_cast<std::int64_t>(batches_.size()), std::memory_order_relaxed);
    return *place;
}

IoDispatch::Batch* IoDispatch::find(std::string_view batch_uuid) {
    const auto found = batches_.find(batch_uuid);
    return found == batches_.end() ? nullptr : found->second.get();
}

void IoDispatch::forget(const std::string& batch_uuid) {
    registry_.with([&](auto& registry) { registry.forget(batch_uuid); });
    undelivered_.erase(batch_uuid);
    drop(batch_uuid);
}

void IoDispatch::drop(const std::string& batch_uuid) {
    const auto found = batches_.find(batch_uuid);
    if (found == batches_.end()) return;
    Batch& batch = *found->second;
    stop_waiting(batch);
    const auto of_session = by_session_.find(batch.out.session);
    std::erase(of_session->second, &batch);
    if (of_session->second.empty()) by_session_.erase(of_session);
    batches_.erase(found);
    counters_.open_batches.store(static_cast<std::int64_t>(batches_.size()), std::memory_order_relaxed);
}

// A full queue is just a timer: what did not leave is no send, and is tried again as soon as there may be
// room.
void IoDispatch::send(Batch& batch, milliseconds now) {
    stop_waiting(batch);
    batch.accepted = false;
    batch.unready_since = milliseconds::max();
    auto place = awaiting_.end();  // all that were sent wait equally long
    if (sender_.steps(batch.out.session, batch.out.message)) {
        count(batch.sends == 0 ? counters_.batches_sent : counters_.batches_resent);
        ++batch.sends;
        batch.blocked_since = milliseconds::max();
        batch.deadline = now + options_.timers.accept_timeout;
    } else {
        batch.blocked_since = std::min(batch.blocked_since, now);
        batch.deadline = now + std::min(kBlockedPause, options_.timers.accept_timeout);
        place = std::find_if(awaiting_.begin(), awaiting_.end(),
                             [&](const Batch* other) { return other->deadline > batch.deadline; });
    }
    batch.place = awaiting_.insert(place, &batch);
    batch.awaiting = true;
}

// A batch of a session that is not ready waits until the session returns (on_session_ready) or is lost. A
// session that sends heartbeats and answers no probe does neither: after a lease the batch counts as not
// accepted.
void IoDispatch::wait_for_session(Batch& batch, milliseconds now) {
    batch.deadline = now + options_.timers.accept_timeout;
    batch.place = awaiting_.insert(awaiting_.end(), &batch);
    batch.awaiting = true;
    batch.unready_since = std::min(batch.unready_since, now);
    if (now - batch.unready_since < options_.timers.lease) return;
    batch.unready_since = now;
    post_not_accepted(batch);
}

void IoDispatch::stop_waiting(Batch& batch) {
    if (std::exchange(batch.awaiting, false)) awaiting_.erase(batch.place);
}

void IoDispatch::settle_accepted(Batch& batch) {
    stop_waiting(batch);
    if (!batch.accepted) batch.accepted_n = heartbeat_n_;
    batch.accepted = true;
    std::string().swap(batch.out.message);
}

void IoDispatch::announce(Batch& batch) {
    if (std::exchange(batch.announced, true)) return;
    post_.event(ports::Accepted{batch.out.session, batch.out.batch_uuid});
}

IoDispatch::Acceptance IoDispatch::on_accepted(std::string_view session, std::string_view batch_uuid) {
    Batch* batch = find(batch_uuid);
    if (batch == nullptr) return Acceptance::unknown_batch;
    if (batch->out.session != session) return Acceptance::wrong_session;
    if (batch->announced && batch->out.message.empty())
        return Acceptance::recorded;  // each heartbeat lists it
    settle_accepted(*batch);
    announce(*batch);
    registry_.with([&](auto& registry) { registry.on_batch_accepted(session); });
    return Acceptance::recorded;
}

void IoDispatch::on_sign_of_life(std::string_view session, std::string_view batch_uuid) {
    Batch* batch = find(batch_uuid);
    if (batch != nullptr && !batch->accepted && batch->out.session == session) settle_accepted(*batch);
}

void IoDispatch::on_session_ready(std::string_view session, const core::Inventory& inventory,
                                  milliseconds now) {
    const auto of_session = by_session_.find(session);
    if (of_session == by_session_.end()) return;
    const core::InventoryIndex listed(inventory);
    for (Batch* batch : of_session->second) {
        if (batch->out.message.empty()) continue;  // the session has shown that it has this one
        const auto open = registry_.with(
            [&](const auto& registry) { return registry.flights().unreported(batch->out.batch_uuid); });
        const bool knows_all = std::all_of(open.begin(), open.end(), [&](std::int64_t step_id) {
            return listed.lists(batch->out.batch_uuid, step_id);
        });
        if (!knows_all) {
            batch->sends = std::min(batch->sends, 1);  // a proven session gets its repetitions anew
            send(*batch, now);
        } else if (!open.empty()) {
            settle_accepted(*batch);
            announce(*batch);
        }
    }
}

void IoDispatch::find_absent(std::string_view session, const core::Inventory& inventory,
                             std::int64_t seen_n) {
    const auto of_session = by_session_.find(session);
    if (of_session == by_session_.end()) return;
    const core::InventoryIndex listed(inventory);
    for (Batch* batch : of_session->second) {
        if (!batch->accepted || seen_n <= batch->accepted_n) continue;
        auto absent = registry_.with(
            [&](const auto& registry) { return registry.flights().unreported(batch->out.batch_uuid); });
        std::erase_if(absent,
                      [&](std::int64_t step_id) { return listed.lists(batch->out.batch_uuid, step_id); });
        // Once may be a message on its way; what two heartbeats do not know is not there.
        batch->times_absent = absent.empty() ? 0 : batch->times_absent + 1;
        if (batch->times_absent < kTimesAbsentMax) continue;
        batch->times_absent = 0;
        post_.event(ports::StepsAbsent{batch->out.session, batch->out.batch_uuid, std::move(absent)});
    }
}

void IoDispatch::check_acceptance(milliseconds now) {
    while (!awaiting_.empty() && awaiting_.front()->deadline <= now) {
        Batch& batch = *awaiting_.front();
        stop_waiting(batch);
        const std::string& session = batch.out.session;
        if (!registry_.with([&](auto& registry) { return registry.is_ready(session); })) {
            wait_for_session(batch, now);
            continue;
        }
        const bool blocked_for_long = batch.blocked_since < now &&
                                      now - batch.blocked_since >= options_.timers.accept_timeout *
                                                                       (options_.delivery.accept_resends + 1);
        if (batch.sends <= options_.delivery.accept_resends && !blocked_for_long) {
            send(batch, now);
        } else {
            give_up(batch, now);
        }
    }
}

void IoDispatch::give_up(Batch& batch, milliseconds now) {
    const std::string& session = batch.out.session;
    log::warning("a batch was not accepted; its session gets no work until it answers a probe",
                 {{"cause", batch.blocked_since < now ? "its queue is full: it does not read what it is sent"
                                                      : "it answers none of the sendings"},
                  {"batch", batch.out.batch_uuid},
                  {"session", session},
                  {"sends", batch.sends}});
    registry_.with([&](auto& registry) { registry.on_batch_ignored(session, now); });
    post_not_accepted(batch);
}

void IoDispatch::post_not_accepted(Batch& batch) {
    if (batch.sends > 0) {
        post_.event(ports::NotAccepted{batch.out.session, batch.out.batch_uuid});
        return;
    }
    const std::string batch_uuid = batch.out.batch_uuid;
    return_undelivered(batch.out);  // it never left: proven unstarted
    drop(batch_uuid);
}

milliseconds IoDispatch::next_deadline() const {
    return awaiting_.empty() ? milliseconds::max() : awaiting_.front()->deadline;
}

void IoDispatch::restart_timers(milliseconds now) {
    for (Batch* batch : awaiting_) {
        batch->deadline = now + options_.timers.accept_timeout;
        batch->unready_since = milliseconds::max();
    }
}

}  // namespace tasker::engine
