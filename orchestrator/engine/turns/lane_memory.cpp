#include "orchestrator/engine/turns/lane_memory.hpp"

#include <utility>

#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;

using std::chrono::milliseconds;

std::vector<ports::AdoptedBatch> LaneMemory::read_back(ports::Store& store, const HandlerKeys& keys,
                                                       milliseconds now) {
    if (!requests_) {
        requests_ =
            std::make_unique<RequestBuilder>(protocol::Envelope{options_.orchestrator_id, options_.epoch},
                                             store.installation_uuid(), options_.limits.batch_bytes);
    }
    const auto stored = store.load_open_batches();
    open_.clear();
    revived_.clear();
    deadlines_.forget_batches();
    own_work_.forget_batches();
    std::vector<ports::AdoptedBatch> adopted;
    for (const auto& row : stored) {
        auto batch = open_batch_from(row);
        auto out = rebuild(store, row, batch, keys);
        if (!out.batch.steps.empty()) adopted.push_back(std::move(out));
        if (core::is_terminal(batch.state) || batch.completion) {
            batch.grace_ends = now + options_.timers.reconcile_grace;
        }
        deadlines_.watch_grace(batch);
        deadlines_.resume(batch, row, now);
        open_.put(std::move(batch));
    }
    if (!stored.empty()) {
        log::info("open batches found", {{"batches", stored.size()}, {"in_flight", adopted.size()}});
    }
    return adopted;
}

// Fills the backoffs of the batch; without steps there is nothing of it to be sent again.
ports::AdoptedBatch LaneMemory::rebuild(ports::Store& store, const ports::StoredBatch& stored,
                                        OpenBatch& batch, const HandlerKeys& keys) {
    for (std::size_t i = 0; i < stored.steps.size(); ++i) {
        const auto& step = stored.steps[i];
        const auto facts = requests_->templates().get(store, step.named_task_id, step.template_revision);
        const auto* step_facts = find_step(*facts, step.step_name);
        if (!step_facts) continue;
        batch.steps[i].backoff = step_facts->backoff;
        batch.steps[i].waits_for_lease = step_facts->waits_for_lease;
        batch.steps[i].max_snoozes = step_facts->max_snoozes;
    }
    if (core::is_terminal(batch.state)) return {};
    std::vector<UnsentStep> unsent;
    ports::AdoptedBatch adopted{requests_->rebuild(store, stored, keys, unsent), batch.accepted};
    for (auto& step : unsent) own_work_.add_unsent(std::move(step));
    return adopted;
}

const OpenBatch* LaneMemory::find(ports::Store& store, const std::string& batch_uuid) {
    if (const auto* open = open_.find(batch_uuid)) return open;
    if (const auto* revived = revived_.find(batch_uuid)) return revived;
    const auto stored = store.load_batch(batch_uuid);
    if (!stored) return nullptr;
    revived_.put(open_batch_from(*stored));
    return revived_.find(batch_uuid);
}

std::vector<std::string> LaneMemory::take_over(TurnDraft& draft) {
    std::vector<std::string> ended;
    for (auto& [uuid, batch] : draft.touched()) {
        if (core::is_terminal(batch.state)) ended.push_back(uuid);
        if (batch.is_over()) {
            open_.erase(uuid);
        } else {
            deadlines_.watch_grace(batch);
            deadlines_.watch_started(batch);
            open_.put(std::move(batch));
        }
    }
    deadlines_.compact(open_);
    return ended;
}

std::vector<ports::OutboundBatch> LaneMemory::add_claims(ports::Store& store,
                                                         const std::vector<ports::ClaimedStep>& claims,
                                                         const std::vector<std::string>& sessions,
                                                         const HandlerKeys& keys, milliseconds now) {
    auto built = requests_->build(store, claims, sessions, keys);
    for (auto& batch : built.open) {
        deadlines_.watch_plain(batch, now);
        batch.claimed_at = now;
        open_.put(std::move(batch));
    }
    for (auto& step : built.unsent) own_work_.add_unsent(std::move(step));
    return std::move(built.outbound);
}

}  // namespace tasker::engine
