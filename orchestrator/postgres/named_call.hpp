// Calling a function of the database by the names of its parameters.
#pragma once

#include <span>
#include <string>

namespace tasker::postgres {

/// `SELECT * FROM function(first => $1, second => $2, …)`: the order of `names` is that of the statement's
/// parameters and need not be the function's. A name that the function does not have fails when the statement
/// is prepared.
inline std::string select_from_call(const std::string& function, std::span<const std::string> names) {
    std::string text = "SELECT * FROM " + function + "(";
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i > 0) text += ", ";
        text += names[i] + " => $" + std::to_string(i + 1);
    }
    return text + ")";
}

}  // namespace tasker::postgres
