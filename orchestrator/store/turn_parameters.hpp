// A turn's input as the parameters of tasker_turn(): one array literal per column, in the function's order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/ports/store.hpp"

namespace tasker::store {

/// The statement that takes them; $1 … $n with n = turn_parameters(...).size().
const std::string& turn_statement();

std::vector<std::string> turn_parameters(int lane, int lanes, std::int64_t epoch, std::int64_t turn,
                                         std::string_view instance, const ports::TurnInput& input);

}  // namespace tasker::store
