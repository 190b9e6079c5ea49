// A lane's memory of its open batches: read back from the database at the start and after a lost connection,
// changed only after a commit, and looked up for every message.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "orchestrator/engine/turns/deadlines.hpp"
#include "orchestrator/engine/turns/handler_keys.hpp"
#include "orchestrator/engine/turns/open_batches.hpp"
#include "orchestrator/engine/turns/options.hpp"
#include "orchestrator/engine/turns/own_work.hpp"
#include "orchestrator/engine/turns/request_builder.hpp"
#include "orchestrator/engine/turns/turn_draft.hpp"
#include "orchestrator/ports/delivery.hpp"
#include "orchestrator/ports/store.hpp"

namespace tasker::engine {

/// Belongs to its lane's thread; all references must outlive it. Batches that it takes in are watched by
/// `deadlines`; steps that cannot be sent become `own_work`.
class LaneMemory {
  public:
    LaneMemory(const ListenerOptions& options, Deadlines& deadlines, OwnWork& own_work)
        : options_(options), deadlines_(deadlines), own_work_(own_work) {}

    /// Forgets everything and reads the open batches. Returns those that are out, for io to adopt.
    std::vector<ports::AdoptedBatch> read_back(ports::Store& store, const HandlerKeys& keys,
                                               std::chrono::milliseconds now);

    /// The batch as remembered, else from the database, since late messages are about batches long over; null
    /// when the installation has none of this name. Valid until the next turn begins.
    const OpenBatch* find(ports::Store& store, const std::string& batch_uuid);
    /// A turn begins: batches that a late message brought back are dropped again.
    void begin_turn() { revived_.clear(); }

    /// Takes over the batches of a committed turn. Returns those that have ended.
    std::vector<std::string> take_over(TurnDraft& draft);
    /// Remembers the batches of committed claims and builds their messages.
    std::vector<ports::OutboundBatch> add_claims(ports::Store& store,
                                                 const std::vector<ports::ClaimedStep>& claims,
                                                 const std::vector<std::string>& sessions,
                                                 const HandlerKeys& keys, std::chrono::milliseconds now);

    BatchBook& open() { return open_; }

  private:
    ports::AdoptedBatch rebuild(ports::Store& store, const ports::StoredBatch& stored, OpenBatch& batch,
                                const HandlerKeys& keys);

    const ListenerOptions& options_;
    Deadlines& deadlines_;
    OwnWork& own_work_;
    std::unique_ptr<RequestBuilder> requests_;  // from the first connection on
    BatchBook open_;
    BatchBook revived_;  // long over
};

}  // namespace tasker::engine
