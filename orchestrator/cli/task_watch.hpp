// Waiting for tasks to end, and showing how they get on.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/cli/context.hpp"
#include "orchestrator/cli/task_tree.hpp"
#include "orchestrator/store/queries.hpp"

namespace tasker::cli {

enum class WaitEnd { all_ended, timed_out, interrupted };

struct WaitResult {
    WaitEnd end = WaitEnd::all_ended;
    std::vector<store::TaskProgress> tasks;  // the last that was seen of each, by id

    bool all_complete() const;
};

/// Watches tasks until all have ended. Wakes by the notification tasker_done, which the orchestrator sends
/// after the commit; a slow poll covers what is lost on the way. With one task it shows the tree of its
/// steps, with several a bar over all of them: redrawn in place on a terminal, as lines of changes elsewhere,
/// nothing with
/// --json. Make it before the tasks are created: from then on no ending is missed.
class TaskWatch {
  public:
    /// Connects twice, since a connection that listens must not run anything else. Throws CommandError.
    explicit TaskWatch(const Context& context);

    /// Throws DatabaseError. A Ctrl-C ends the waiting, not the tasks.
    WaitResult wait(const std::vector<std::int64_t>& task_ids,
                    std::optional<std::chrono::milliseconds> limit);

  private:
    class Screen;

    bool update(const std::vector<std::int64_t>& task_ids, Screen& screen, WaitResult& result);

    const Context& context_;
    store::Connection listener_;
    store::Connection reader_;
};

/// Whether nothing but an operator will move a task in this state.
bool task_has_ended(std::string_view state);
bool task_went_well(std::string_view state);

/// The size of the terminal behind standard output, or a safe default.
Canvas terminal_canvas(const Context& context);

/// "waited for": exit code and closing line of a command that has waited. Nothing is printed with --json.
ExitCode report_wait(const Context& context, const WaitResult& result);

}  // namespace tasker::cli
