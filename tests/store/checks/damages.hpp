// Every kind of damage a check exists for.
#pragma once

#include <span>

namespace tasker::api {

/// `sql` spoils the database of History; @complete, @failed … stand for its task ids, and @complete.a for the
/// id of a step. `check` must find it and say `says` about it.
struct Damage {
    const char* name;
    const char* sql;
    const char* check;
    const char* says;
};

std::span<const Damage> damages();

}  // namespace tasker::api
