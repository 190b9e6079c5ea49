// What keeps the running tables bounded asks of the database. It owns a connection of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace tasker::ports {

using std::chrono::milliseconds;

/// `days`: how long ended tasks are kept, 0 for ever. `partition_rows`: ids per partition, about.
/// `look_again`: how long a range of which too much must stay is left alone.
struct RetentionSettings {
    int days = 30;
    std::int64_t partition_rows = 1'000'000;
    milliseconds look_again{600'000};
};

/// One thing that was done. `what`: partition_bounded | partition_marked | partition_validated |
/// partition_closed (`high` is the new bound) · range_dropped | range_sieved | range_kept (from `low` to
/// below `high`; range_kept: nothing done, too much of it must stay) · rows_deleted (`subject` is the table)
/// · postponed (`subject` says why; the next pass tries again).
struct RetentionAction {
    std::string what;
    std::string subject;  // task_id or batch_id for partitions and ranges
    std::int64_t low = 0;
    std::int64_t high = 0;
    std::int64_t rows = 0;
    std::int64_t rows_kept = 0;
    milliseconds took{0};
};

/// The watcher of a pass. `done` gets each action. `pause` waits, and returns false when the pass is to end.
struct RetentionWatch {
    std::function<void(const RetentionAction&)> done;
    std::function<bool(milliseconds)> pause;
};

class Retention {
  public:
    virtual ~Retention() = default;
    /// Does what there is to do now, action by action, each in a transaction of its own; may be broken off
    /// anywhere. Throws DatabaseError when the connection is lost, EpochLost when another orchestrator rules.
    virtual void run_pass(const RetentionSettings& settings, const RetentionWatch& watch) = 0;
    /// Thread-safe: ends the statement that runs, if any.
    virtual void cancel() = 0;
};

}  // namespace tasker::ports
