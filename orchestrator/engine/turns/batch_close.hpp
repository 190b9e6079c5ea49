// What a batch comes to at the end of a turn: its state, its reconciliation, and the end of its grace.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/engine/turns/open_batches.hpp"
#include "orchestrator/ports/store.hpp"

namespace tasker::engine {

/// What one turn's messages did to a batch.
struct BatchProgress {
    core::BatchState from = core::BatchState::published;  // before the turn
    int partials = 0;                                     // first final reports
    bool completion = false;                              // the completion came
    bool life = false;                                    // its session has shown that it works on it
    bool grace_over = false;                              // what is missing becomes a discrepancy
};

struct ClosedBatch {
    std::optional<ports::BatchChange> change;  // what is to be written, if anything
    bool alert = false;  // its results contradict each other, or lack what should have come
};

/// Works out where the batch stands after the turn, changes `batch` to that, and returns what is to be
/// written. A batch that misses something gets until `now` + `reconcile_grace`.
ClosedBatch close_batch(OpenBatch& batch, const BatchProgress& progress, std::chrono::milliseconds now,
                        std::chrono::milliseconds reconcile_grace);

/// A batch's differences as the JSON that is merged into its metadata: {"discrepancies":[{kind, step_id,
/// detail, explained_by}]}. `explained_by` is left out where nothing explains them.
std::string discrepancies_json(const std::vector<core::Discrepancy>& differences,
                               std::string_view explained_by = "");

}  // namespace tasker::engine
