// Which rows of tasker_workers are worth writing now. Each second every session's heartbeat is a little
// younger: with a thousand sessions writing that down would be most of what an idle orchestrator does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "orchestrator/core/sessions/registry.hpp"

namespace tasker::engine {

/// Sessions of which nothing has changed but the age of their heartbeat are written in turn, so many at a
/// time. Up to so many, each is written each time.
inline constexpr std::size_t kRefreshedAtOnce = 200;

class WorkerRows {
  public:
    /// Of all sessions of now: what is new or has changed, and those refreshed longest ago. What it returns
    /// counts as written; after a failure `forget`.
    std::vector<core::SessionView> take_due(std::vector<core::SessionView> sessions);
    void forget() { written_.clear(); }

  private:
    struct Written {
        core::SessionView view;
        std::uint64_t round = 0;
    };

    std::map<std::string, Written> written_;
    std::uint64_t round_ = 0;
};

}  // namespace tasker::engine
