// Where a turn gets its credit: the session registry, guarded by its owner's mutex.
#pragma once

#include <string_view>
#include <vector>

#include "orchestrator/core/sessions/credit.hpp"

namespace tasker::ports {

/// Thread-safe. A turn reserves its lane's share of the free credit, uses some of it and settles; settling
/// with nothing taken is the rollback. A lane that waits is woken (CreditShared) when there is something for
/// it that no turn of its own will see.
class CreditPool {
  public:
    virtual ~CreditPool() = default;
    virtual std::vector<core::CreditOffer> reserve(int lane) = 0;
    /// True when the lane may reserve more of what it wants (`wanted` of the offers) at once.
    virtual bool settle(int lane, const std::vector<core::CreditOffer>& offers,
                        std::vector<core::TakenBatch> taken) = 0;
    /// A lane without its database takes no part in the sharing until it is back.
    virtual void set_away(int lane, bool away) = 0;
    /// Lost, or of an earlier life and not returned in time: what it has out will not be reported.
    virtual bool is_gone(std::string_view session) = 0;
    /// Gone, but only unsubscribed: until its lease ends it may come back with what it runs.
    virtual bool may_return(std::string_view session) = 0;
    virtual bool serves(std::string_view session, std::string_view namespace_name,
                        std::string_view handler_class) = 0;
};

}  // namespace tasker::ports
