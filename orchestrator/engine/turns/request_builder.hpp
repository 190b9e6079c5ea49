// From claimed rows to the messages that carry them. Context and results travel as the raw JSON text that the
// database gave; nothing is parsed again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "orchestrator/engine/turns/handler_keys.hpp"
#include "orchestrator/engine/turns/open_batches.hpp"
#include "orchestrator/ports/delivery.hpp"
#include "orchestrator/ports/store.hpp"
#include "protocol/cpp/messages.hpp"

namespace tasker::engine {

/// Template revisions never change, so each is read once.
class TemplateCache {
  public:
    std::shared_ptr<const ports::TemplateFacts> get(ports::Store& store, std::int32_t named_task_id,
                                                    std::int32_t revision);

  private:
    std::map<std::pair<std::int32_t, std::int32_t>, std::shared_ptr<const ports::TemplateFacts>> cache_;
};

/// A claimed step that cannot be sent. Reason: request_too_large or request_not_built (with a cause, if there
/// is more to say), or undelivered where its batch was full.
struct UnsentStep {
    std::string batch_uuid;
    std::int64_t step_id = 0;
    std::string reason;
    std::string cause = {};
};

/// What became of claimed steps: batches to send, and steps that cannot be sent (the listener hands them
/// back).
struct BuiltBatches {
    std::vector<ports::OutboundBatch> outbound;
    std::vector<OpenBatch> open;
    std::vector<UnsentStep> unsent;
};

class RequestBuilder {
  public:
    RequestBuilder(protocol::Envelope envelope, std::string installation_uuid, std::int64_t batch_bytes_max)
        : envelope_(std::move(envelope)),
          installation_uuid_(std::move(installation_uuid)),
          batch_bytes_max_(static_cast<std::size_t>(batch_bytes_max)) {}

    /// Groups claims (ordered by batch) into messages for `sessions[claim.session]`.
    BuiltBatches build(ports::Store& store, const std::vector<ports::ClaimedStep>& claims,
                       const std::vector<std::string>& sessions, const HandlerKeys& keys);

    /// The same message again for a batch that was open when this process started: its expected steps only.
    /// Appends to `unsent` those that could not be sent then either and were not handed back yet.
    ports::OutboundBatch rebuild(ports::Store& store, const ports::StoredBatch& stored,
                                 const HandlerKeys& keys, std::vector<UnsentStep>& unsent);

    TemplateCache& templates() { return templates_; }

  private:
    protocol::StepRequest step_request(const ports::ClaimedStep& step, const ports::TemplateFacts& facts,
                                       const ports::TemplateStepFacts* step_facts,
                                       const ports::HandlerKey& key) const;

    UnsentStep unsent_reason(const ports::ClaimedStep& claim, std::size_t bytes, std::size_t size) const;

    protocol::Envelope envelope_;
    std::string installation_uuid_;
    std::size_t batch_bytes_max_;
    TemplateCache templates_;
};

/// The step's facts in its template revision, or null when the revision has no such step.
const ports::TemplateStepFacts* find_step(const ports::TemplateFacts& facts, const std::string& name);

}  // namespace tasker::engine
