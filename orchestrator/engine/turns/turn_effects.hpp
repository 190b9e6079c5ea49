// What a committed turn has for others: acknowledgements and answers for workers, ended tasks for whoever
// waits for them, counters and log lines for operators. Nothing here is sent before its turn is committed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "orchestrator/engine/turns/options.hpp"
#include "orchestrator/engine/turns/turn_draft.hpp"
#include "orchestrator/ports/credit.hpp"
#include "orchestrator/ports/delivery.hpp"
#include "orchestrator/ports/store.hpp"

namespace tasker::engine {

/// Belongs to its lane's thread; all references must outlive it.
class TurnEffects {
  public:
    using TasksEnded = std::function<void(std::vector<std::int64_t>)>;

    TurnEffects(ports::Publisher& publisher, ports::CreditPool& credit, ListenerCounters& counters,
                TasksEnded tasks_ended)
        : publisher_(publisher), credit_(credit), counters_(counters), tasks_ended_(std::move(tasks_ended)) {}

    /// The turn is committed: counts and logs what it did, answers start requests, cancels deliveries that
    /// are over. To be called before any of its batches is forgotten: io must know that a handler may still
    /// run.
    void on_committed(const TurnDraft& draft, const ports::TurnResult& result);
    /// Announces the tasks that ended and whose end the transaction has not notified itself.
    void announce_ended_tasks(const ports::TurnResult& result);
    /// The messages are in the database completely: acknowledges them, refuses starts, calls in held
    /// steps.
    void on_recorded(const TurnDraft& draft);

  private:
    void record_losses(const TurnDraft& draft, const ports::TurnResult& result);
    void answer_starts(const TurnDraft& draft, const ports::TurnResult& result);
    void cancel_ended(const TurnDraft& draft);

    ports::Publisher& publisher_;
    ports::CreditPool& credit_;
    ListenerCounters& counters_;
    const TasksEnded tasks_ended_;
};

}  // namespace tasker::engine
