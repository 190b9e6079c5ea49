// Steps that are out although the io thread has taken a message for their end.
//
// It gives the credit back when a final report or a hand-back comes, before a lane has judged it. Where the
// lane then refuses it, or leaves it to be sent again, the session has to account for the step as before:
// otherwise nothing would ever end it.
#pragma once

#include <vector>

#include "orchestrator/engine/turns/open_batches.hpp"
#include "orchestrator/ports/delivery.hpp"

namespace tasker::engine {

/// Adds the steps that `report` names, if it is of the batch's own session and they have not ended.
void add_reopened(std::vector<ports::ReopenSteps>& reopened, const OpenBatch& batch,
                  const ports::Report& report);

}  // namespace tasker::engine
