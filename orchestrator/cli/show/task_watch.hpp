// Waiting for tasks to end, and showing how they get on.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/api/query.hpp"
#include "orchestrator/cli/context.hpp"
#include "orchestrator/cli/show/task_tree.hpp"

namespace tasker::cli {

enum class WaitEnd { all_ended, timed_out, interrupted, unreachable };

struct WaitResult {
    WaitEnd end = WaitEnd::all_ended;
    std::vector<api::TaskProgress> tasks;  // the last that was seen of each, by id

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

    /// A lost database is connected to again until `limit` is over (without one: for as long as it takes); the
    /// tasks go on meanwhile. After two seconds without movement it says why, on standard error where the
    /// screen is not redrawn. Throws DatabaseError for other failures. A Ctrl-C ends the waiting, not the tasks.
    WaitResult wait(const std::vector<std::int64_t>& task_ids,
                    std::optional<std::chrono::milliseconds> limit);

  private:
    class Screen;

    struct Waiting;

    bool update(Waiting& waiting);
    void wait_connected(Waiting& waiting);
    bool reconnect(Waiting& waiting, const std::string& cause);
    bool pause(Waiting& waiting, std::chrono::milliseconds until);
    void connect();

    const Context& context_;
    // Nothing only while a lost connection is made anew.
    std::optional<postgres::Connection> listener_;
    std::optional<postgres::Connection> reader_;
};

/// Whether nothing but an operator will move a task in this state.
bool task_has_ended(std::string_view state);
bool task_went_well(std::string_view state);

/// The size of the terminal behind standard output, or a safe default.
Canvas terminal_canvas(const Context& context);

/// "waited for": exit code and closing line of a command that has waited. Nothing is printed with --json. Throws
/// CommandError (database_unreachable), naming the command that goes on waiting.
ExitCode report_wait(const Context& context, const WaitResult& result);

}  // namespace tasker::cli
