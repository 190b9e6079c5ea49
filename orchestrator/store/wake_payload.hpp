// The content of a NOTIFY on tasker_wake.
#pragma once

#include <string_view>

#include "orchestrator/ports/delivery.hpp"

namespace tasker::store {

/// A payload of tasker_wake: `keys:1,2` (handler keys that have work), `keys:1,2;from:0:4711` (none of it
/// before that priority and step; `;shard:17` when all of it is of one shard), `templates`, or anything else,
/// which means "look at everything". A list that is not understood to its end also asks for that: a lost
/// wake-up would cost seconds, a scan too many costs nothing.
ports::Wake parse_wake(std::string_view payload);

}  // namespace tasker::store
