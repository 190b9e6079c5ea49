#include "orchestrator/engine/turns/request_builder.hpp"

#include <algorithm>

#include "protocol/cpp/encode.hpp"

namespace tasker::engine {
namespace {

// What the message around the steps may need at most: envelope, batch id, handler class.
constexpr std::size_t kEnvelopeBytes = 2048;
// The same for the names, numbers and keys of one step; names are bounded by the templates' limits.
constexpr std::size_t kStepBytes = 4096;

// An upper bound that needs no encoding: the raw parts are exact, the rest is bounded.
std::size_t bytes_bound(const protocol::StepRequest& request) {
    return kStepBytes + request.handler_config_json.size() + request.task_context_json.size() +
           request.previous_results_json.size();
}

}  // namespace

const ports::TemplateStepFacts* find_step(const ports::TemplateFacts& facts, const std::string& name) {
    const auto found = std::find_if(facts.steps.begin(), facts.steps.end(),
                                    [&](const ports::TemplateStepFacts& step) { return step.name == name; });
    return found == facts.steps.end() ? nullptr : &*found;
}

std::shared_ptr<const ports::TemplateFacts> TemplateCache::get(ports::Store& store,
                                                               std::int32_t named_task_id,
                                                               std::int32_t revision) {
    auto& entry = cache_[{named_task_id, revision}];
    if (!entry) {
        entry = std::make_shared<const ports::TemplateFacts>(store.load_template(named_task_id, revision));
    }
    return entry;
}

protocol::StepRequest RequestBuilder::step_request(const ports::ClaimedStep& step,
                                                   const ports::TemplateFacts& facts,
                                                   const ports::TemplateStepFacts* step_facts,
                                                   const ports::HandlerKey& key) const {
    protocol::StepRequest request;
    request.step_id = step.step_id;
    request.task_id = step.task_id;
    request.namespace_name = facts.namespace_name;
    request.task_name = facts.task_name;
    request.task_version = facts.task_version;
    request.step_name = step.name;
    request.handler_class = key.handler_class;
    if (step_facts) request.handler_config_json = step_facts->handler_config_json;
    request.task_context_json = step.context_json;
    request.previous_results_json = step.previous_results_json;
    request.metadata.attempt = step.attempt;
    request.metadata.retry_limit = step.retry_limit;
    request.metadata.tries_left = step.tries_left;
    request.metadata.timeout_ms = step.timeout_ms;
    request.metadata.created_at = step.claimed_at;
    request.metadata.idempotency_key = installation_uuid_ + "-" + std::to_string(step.step_id);
    if (step.claim_first) request.metadata.claim_first = true;
    return request;
}

BuiltBatches RequestBuilder::build(ports::Store& store, const std::vector<ports::ClaimedStep>& claims,
                                   const std::vector<std::string>& sessions, const HandlerKeys& keys) {
    BuiltBatches built;
    for (std::size_t first = 0; first < claims.size();) {
        const auto& head = claims[first];
        const auto& key = keys.get(head.handler_key);
        protocol::StepBatchRequest message;
        message.envelope = envelope_;
        message.batch_id = head.batch_uuid;
        message.handler_class = key.handler_class;
        OpenBatch open;
        open.batch_id = head.batch_id;
        open.batch_uuid = head.batch_uuid;
        open.session = sessions[static_cast<std::size_t>(head.session)];
        open.handler_key = head.handler_key;
        ports::OutboundBatch outbound{head.batch_uuid, open.session, {}, {}, key.handler_class};
        std::size_t bytes = kEnvelopeBytes;
        std::size_t next = first;
        for (; next < claims.size() && claims[next].batch_id == head.batch_id; ++next) {
            const auto& claim = claims[next];
            const auto facts = templates_.get(store, claim.named_task_id, claim.template_revision);
            const auto* step_facts = find_step(*facts, claim.name);
            auto request = step_request(claim, *facts, step_facts, key);
            OpenStep step;
            step.batch_step_id = claim.batch_step_id;
            step.task_id = claim.task_id;
            step.attempt = claim.attempt;
            step.timeout_ms = claim.timeout_ms;
            step.claim_first = claim.claim_first;
            step.expected.step_id = claim.step_id;
            if (step_facts) {
                step.backoff = step_facts->backoff;
                step.waits_for_lease = step_facts->waits_for_lease;
                step.max_snoozes = step_facts->max_snoozes;
            }
            open.steps.push_back(step);
            const std::size_t size = bytes_bound(request);
            auto unsent = unsent_reason(claim, bytes, size);
            if (!unsent.reason.empty()) {
                built.unsent.push_back(std::move(unsent));
                continue;
            }
            bytes += size;
            outbound.steps.push_back({claim.step_id, claim.attempt});
            message.steps.push_back(std::move(request));
        }
        for (std::size_t i = 0; i < message.steps.size(); ++i) {
            message.steps[i].metadata.sequence = static_cast<std::int32_t>(i + 1);
            message.steps[i].metadata.total_steps = static_cast<std::int32_t>(message.steps.size());
        }
        if (!message.steps.empty()) {
            protocol::encode(outbound.message, message);
            built.outbound.push_back(std::move(outbound));
        }
        built.open.push_back(std::move(open));
        first = next;
    }
    return built;
}

// `bytes`: of the message so far; `size`: what the step would add.
UnsentStep RequestBuilder::unsent_reason(const ports::ClaimedStep& claim, std::size_t bytes,
                                         std::size_t size) const {
    if (!claim.unsendable.empty()) return {claim.batch_uuid, claim.step_id, claim.unsendable, claim.cause};
    if (bytes + size <= batch_bytes_max_) return {};
    const bool never_fits = kEnvelopeBytes + size > batch_bytes_max_;
    return {claim.batch_uuid, claim.step_id, never_fits ? ports::kRequestTooLarge : "undelivered"};
}

ports::OutboundBatch RequestBuilder::rebuild(ports::Store& store, const ports::StoredBatch& stored,
                                             const HandlerKeys& keys, std::vector<UnsentStep>& unsent) {
    std::vector<ports::ClaimedStep> claims;
    for (const auto& row : stored.steps) {
        if (!row.final_status.empty()) continue;
        ports::ClaimedStep claim;
        claim.step_id = row.step_id;
        claim.task_id = row.task_id;
        claim.batch_id = stored.batch_id;
        claim.batch_step_id = row.batch_step_id;
        claim.batch_uuid = stored.batch_uuid;
        claim.attempt = row.attempt;
        claim.retry_limit = row.retry_limit;
        claim.tries_left = row.tries_left;
        claim.timeout_ms = row.timeout_ms;
        claim.handler_key = stored.handler_key;
        claim.named_task_id = row.named_task_id;
        claim.template_revision = row.template_revision;
        claim.claim_first = row.claim_first;
        claim.name = row.step_name;
        claim.claimed_at = row.claimed_at;
        claim.context_json = row.context_json;
        claim.previous_results_json = row.previous_results_json;
        claim.unsendable = row.unsendable;
        claim.cause = row.cause;
        claims.push_back(std::move(claim));
    }
    auto built = build(store, claims, {stored.session}, keys);
    unsent.insert(unsent.end(), built.unsent.begin(), built.unsent.end());
    if (!built.outbound.empty()) return std::move(built.outbound.front());
    return {stored.batch_uuid, stored.session, {}, {}, {}};  // nothing of it is sent
}

}  // namespace tasker::engine
