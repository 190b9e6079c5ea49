// What tasker_turn() answers, row by row, as the engine's own types.
#pragma once

#include "orchestrator/ports/store.hpp"
#include "orchestrator/postgres/connection.hpp"

namespace tasker::store {

/// The header of migrations/functions/turn/tasker_turn.sql explains the rows. The usual is not answered: a
/// final report of `input` without a row was applied and completed its step.
ports::TurnResult read_turn_answer(const postgres::Result& rows, const ports::TurnInput& input);

}  // namespace tasker::store
