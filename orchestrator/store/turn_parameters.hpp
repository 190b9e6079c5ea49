// A turn's input as the parameters of tasker_turn(), which is called by name: one table {parameter, writer}
// per kind in turn_parameters.cpp is all there is to say about a parameter.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/ports/store.hpp"

namespace tasker::store {

/// One call of tasker_turn(): whose turn it is, and what happened.
struct TurnCall {
    int lane = 0;
    int lanes = 1;
    std::int64_t epoch = 0;
    std::int64_t turn = 0;
    std::string_view instance;
    const ports::TurnInput& input;
};

/// The names of all parameters, in the order of turn_parameters(). That order is not the function's.
const std::vector<std::string>& turn_parameter_names();

/// The statement that takes them, each by its name: a wrong one fails when this is prepared.
const std::string& turn_statement();

/// The value of each: a number, a text, or for the items of a kind one array literal per column.
std::vector<std::string> turn_parameters(const TurnCall& call);

}  // namespace tasker::store
