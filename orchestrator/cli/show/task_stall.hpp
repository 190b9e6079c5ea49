// Why a task that somebody waits for does not move: what `tasker task explain` says, unasked.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/api/query.hpp"
#include "orchestrator/postgres/connection.hpp"

namespace tasker::cli {

/// One sentence with the first cause that keeps this task from moving, and what to do; nothing while a worker runs
/// one of its steps, or when it has ended. Reads only. Throws DatabaseError.
std::optional<std::string> why_it_waits(postgres::Connection& connection, std::int64_t task_id);

/// Watches the progress of tasks and says once why they stand still, again when the reason is another one.
class StallNotice {
  public:
    /// Silent for so long after each movement.
    static constexpr std::chrono::milliseconds kPatience{2000};

    explicit StallNotice(std::chrono::milliseconds now) : moved_at_(now), looked_at_(now) {}

    /// `tasks` is what has just been read, `now` the time on the clock of util::boot_time(). Throws DatabaseError.
    std::optional<std::string> look(const std::vector<api::TaskProgress>& tasks,
                                    std::chrono::milliseconds now, postgres::Connection& connection);

  private:
    std::string seen_;
    std::string said_;
    std::chrono::milliseconds moved_at_;
    std::chrono::milliseconds looked_at_;
};

}  // namespace tasker::cli
