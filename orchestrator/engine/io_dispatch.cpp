#include "orchestrator/engine/io_dispatch.hpp"

#include <algorithm>
#include <utility>

#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;

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
    post_.event(ports::Undelivered{batch.session, batch.batch_uuid});
}

void IoDispatch::adopt(ports::AdoptedBatch adopted, milliseconds now) {
    // What a plain worker got before the restart cannot be sent again; its results are awaited.
    if (adopted.batch.session.empty()) return;
    // Adopted again after the listener has reconnected: what is known here is newer.
    if (find(adopted.batch.batch_uuid) != nullptr) return;
    Batch& batch = keep(std::move(adopted.batch));
    batch.accepted = adopted.accepted;
    batch.announced = adopted.accepted;
    const bool ready = registry_.with([&](auto& registry) { return registry.is_ready(batch.out.session); });
    // Its inventory came before the adoption: ask by sending, a session that knows the batch answers as
    // before.
    if (ready) send(batch, now);
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

void IoDispatch::send(Batch& batch, milliseconds now) {
    count(batch.sends == 0 ? counters_.batches_sent : counters_.batches_resent);
    ++batch.sends;
    // A full queue needs no treatment of its own: the batch is not accepted, so its timer sends it again.
    sender_.steps(batch.out.session, batch.out.message);
    stop_waiting(batch);
    batch.accepted = false;
    batch.deadline = now + options_.accept_timeout;
    batch.place = awaiting_.insert(awaiting_.end(), &batch);
    batch.awaiting = true;
}

void IoDispatch::stop_waiting(Batch& batch) {
    if (std::exchange(batch.awaiting, false)) awaiting_.erase(batch.place);
}

void IoDispatch::settle_accepted(Batch& batch) {
    stop_waiting(batch);
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
    if (batch->announced && batch->out.message.empty()) return Acceptance::noted;  // each heartbeat lists it
    settle_accepted(*batch);
    announce(*batch);
    registry_.with([&](auto& registry) { registry.on_batch_accepted(session); });
    return Acceptance::noted;
}

void IoDispatch::on_sign_of_life(std::string_view session, std::string_view batch_uuid) {
    Batch* batch = find(batch_uuid);
    if (batch != nullptr && !batch->accepted && batch->out.session == session) settle_accepted(*batch);
}

void IoDispatch::on_session_ready(std::string_view session, const core::Inventory& inventory,
                                  milliseconds now) {
    const auto of_session = by_session_.find(session);
    if (of_session == by_session_.end()) return;
    for (Batch* batch : of_session->second) {
        if (batch->out.message.empty()) continue;  // the session has shown that it has this one
        const auto open = registry_.with(
            [&](const auto& registry) { return registry.flights().unreported(batch->out.batch_uuid); });
        const bool knows_all = std::all_of(open.begin(), open.end(), [&](std::int64_t step_id) {
            return inventory.lists(batch->out.batch_uuid, step_id);
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

void IoDispatch::check_acceptance(milliseconds now) {
    while (!awaiting_.empty() && awaiting_.front()->deadline <= now) {
        Batch& batch = *awaiting_.front();
        stop_waiting(batch);
        const std::string& session = batch.out.session;
        // Of a session that is not ready the batch waits for its return: on_session_ready.
        if (!registry_.with([&](auto& registry) { return registry.is_ready(session); })) continue;
        if (batch.sends <= options_.accept_resends) {
            send(batch, now);
            continue;
        }
        log::warning("a batch was not accepted; its session gets no work until it answers a probe",
                     {{"batch", batch.out.batch_uuid}, {"session", session}, {"sends", batch.sends}});
        registry_.with([&](auto& registry) { registry.on_batch_ignored(session, now); });
    }
}

milliseconds IoDispatch::next_deadline() const {
    return awaiting_.empty() ? milliseconds::max() : awaiting_.front()->deadline;
}

void IoDispatch::restart_timers(milliseconds now) {
    for (Batch* batch : awaiting_) batch->deadline = now + options_.accept_timeout;
}

}  // namespace tasker::engine
