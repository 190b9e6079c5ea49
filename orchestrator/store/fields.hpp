// Reading single fields of a result.
#pragma once

#include <string>

#include "orchestrator/postgres/connection.hpp"

namespace tasker::store {

/// Where NULL and "" mean the same.
inline std::string text_or_empty(const postgres::Field& field) {
    return field.is_null() ? std::string() : field.as<std::string>();
}

}  // namespace tasker::store
