// A scene whose tables grow old: tasks in numbers, time that has passed, passes of retention.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "orchestrator/store/retention_store.hpp"
#include "tests/store/operators/operator_scene.hpp"

namespace tasker::store {

class RetentionScene : public api::OperatorScene {
  public:
    /// Claims everything that is ready, again and again, and reports each step as completed: every task ends.
    void finish_all();
    /// So many tasks of one step, all complete.
    std::vector<std::int64_t> finished(int count);
    /// As if everything in the tables had happened so many days earlier.
    void age(int days);

    /// Steps of tasker_split_partitions() until it has nothing more to do: "bounded closed". `limit`: no more
    /// than so many.
    std::string split(const std::string& axis, int rows, const std::string& max_age = "NULL",
                      int limit = 100);
    /// Bounds of all partitions of the axis, "-100 100-200 200-"; fails the test when its tables differ.
    std::string bounds(const std::string& axis);
    /// Ends the range in use on both axes, so that what comes next is in another one.
    void close_ranges();

    /// One pass as the orchestrator does it: "range_dropped task_id 50/0" (dropped/kept), one per action that
    /// is not about splitting, joined by ", ".
    std::string pass(int days = 30);

    /// Every row of this table, as one text, in order.
    std::string contents(const std::string& table, const std::string& condition = "true");
    /// The partitioned tables of this axis, or of both.
    std::vector<std::string> tables(const std::string& axis = "");
    int count(const std::string& table) { return static_cast<int>(number("SELECT count(*) FROM " + table)); }
};

}  // namespace tasker::store
