#include "orchestrator/cli/show/task_watch.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <set>
#include <system_error>

#include "orchestrator/api/done_channel.hpp"
#include "orchestrator/cli/dev/stop_signals.hpp"
#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/cli/show/task_stall.hpp"
#include "orchestrator/util/time.hpp"

namespace tasker::cli {
namespace {

using std::chrono::milliseconds;

// People watch steps, so those are asked for often; the end itself comes by notification.
constexpr milliseconds kShowInterval{120};
constexpr milliseconds kShowManyInterval{300};
constexpr milliseconds kPollInterval{1000};
constexpr milliseconds kReconnectInterval{500};

/// Waits for a notification, the end of `limit`, or a stop signal; true for the last.
bool interrupted_while_waiting(int socket, StopSignals& signals, milliseconds limit) {
    pollfd waiting[] = {{socket, POLLIN, 0}, {signals.fd(), POLLIN, 0}};
    if (::poll(waiting, 2, static_cast<int>(limit.count())) < 0 && errno != EINTR) {
        throw std::system_error(errno, std::generic_category(), "poll");
    }
    return signals.take().has_value();
}

}  // namespace

bool task_went_well(std::string_view state) {
    return state == "complete" || state == "resolved_manually";
}

bool task_has_ended(std::string_view state) {
    return state != "pending" && state != "in_progress";
}

bool WaitResult::all_complete() const {
    return end == WaitEnd::all_ended && std::all_of(tasks.begin(), tasks.end(), [](const auto& task) {
               return task_went_well(task.state);
           });
}

Canvas terminal_canvas(const Context& context) {
    Canvas canvas;
    canvas.color = context.color();
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        canvas.columns = size.ws_col;
        canvas.rows = size.ws_row;
    }
    return canvas;
}

/// What is on the screen. Redraws in place on a terminal, else prints what has changed since the last time.
class TaskWatch::Screen {
  public:
    explicit Screen(const Context& context)
        : context_(context), redraws_(!context.json && context.is_terminal()) {
        if (redraws_) std::fputs("\x1b[?25l", stdout);
    }
    ~Screen() {
        if (redraws_) std::fputs("\x1b[?25h", stdout);
        std::fflush(stdout);
    }
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;

    bool shows() const { return !context_.json; }

    /// A remark on what is waited for: below the picture where it is redrawn, else on standard error.
    void say(const std::string& text) {
        if (redraws_) {
            note_ = text;
        } else {
            std::fprintf(stderr, "tasker: %s\n", printable_lines(text, false).c_str());
        }
    }

    void show_steps(const api::TaskProgress& task, const std::vector<api::StepProgress>& steps) {
        if (!redraws_) return print_changes(steps);
        const Canvas canvas = terminal_canvas(context_);
        auto lines = draw_steps(steps, canvas);
        lines.insert(lines.begin(),
                     fmt::format("task {}  {}", task.task_id,
                                 styled(task.state, style_of_state(task.state), canvas.color)));
        lines.push_back(progress_bar(finished_count(steps), steps.size(), "steps", canvas));
        redraw(lines);
    }

    void show_tasks(const std::vector<api::TaskProgress>& tasks) {
        const auto ended = static_cast<std::size_t>(std::count_if(
            tasks.begin(), tasks.end(), [](const auto& task) { return task_has_ended(task.state); }));
        if (redraws_) return redraw(task_lines(tasks, ended));
        if (ended != last_ended_)
            context_.print(fmt::format("{} of {} tasks have ended", ended, tasks.size()));
        last_ended_ = ended;
    }

  private:
    std::vector<std::string> task_lines(const std::vector<api::TaskProgress>& tasks,
                                        std::size_t ended) const {
        const Canvas canvas = terminal_canvas(context_);
        std::map<std::string, std::size_t> counts;
        for (const auto& task : tasks) ++counts[task.state];
        std::string summary;
        for (const auto& [state, count] : counts) {
            summary += (summary.empty() ? "" : "   ") +
                       styled(fmt::format("{} {}", count, state), style_of_state(state), canvas.color);
        }
        return {summary, progress_bar(ended, tasks.size(), "tasks have ended", canvas)};
    }

    void print_changes(const std::vector<api::StepProgress>& steps) {
        for (const auto& step : steps) {
            auto& before = last_[step.workflow_step_id];
            const auto now = std::pair(step.state, step.attempts);
            if (before == now) continue;
            // Steps that have not moved yet are no news.
            if (before.first.empty() && step.state == "pending") {
                before = now;
                continue;
            }
            before = now;
            std::string line =
                fmt::format("{}  {} {}", util::rfc3339_utc_now(), printable(step.name), step.state);
            if (step.attempts > 1)
                line += fmt::format(" (attempt {} of {})", step.attempts, step.retry_limit);
            if (!step.error.empty() && step.state != "complete") line += ": " + printable(step.error);
            context_.print(line);
        }
    }

    void redraw(std::vector<std::string> lines) {
        if (!note_.empty()) lines.push_back(shortened(note_, terminal_canvas(context_).columns));
        std::string text = drawn_ > 0 ? fmt::format("\x1b[{}A", drawn_) : "";
        for (const auto& line : lines) text += "\r\x1b[2K" + line + "\n";
        text += "\x1b[J";
        std::fwrite(text.data(), 1, text.size(), stdout);
        std::fflush(stdout);
        drawn_ = lines.size();
    }

    const Context& context_;
    const bool redraws_;
    std::string note_;
    std::size_t drawn_ = 0;
    std::size_t last_ended_ = 0;
    std::map<std::int64_t, std::pair<std::string, int>> last_;
};

/// One call of wait(): who is waited for, and what has been seen.
struct TaskWatch::Waiting {
    const std::vector<std::int64_t>& task_ids;
    milliseconds deadline;
    StopSignals& signals;
    Screen& screen;
    StallNotice stall;
    WaitResult result;
};

TaskWatch::TaskWatch(const Context& context) : context_(context) {
    connect();
}

void TaskWatch::connect() {
    listener_.reset();
    reader_.reset();
    listener_.emplace(context_.connect_checked());
    reader_.emplace(context_.connect());
    listener_->listen(api::done_channel(*reader_));
}

bool TaskWatch::update(Waiting& waiting) {
    auto& tasks = waiting.result.tasks;
    tasks = api::task_progress(*reader_, waiting.task_ids);
    const bool ended =
        std::all_of(tasks.begin(), tasks.end(), [](const auto& task) { return task_has_ended(task.state); });
    if (waiting.screen.shows() && !tasks.empty()) {
        if (waiting.task_ids.size() == 1) {
            waiting.screen.show_steps(tasks.front(), api::step_progress(*reader_, waiting.task_ids.front()));
        } else {
            waiting.screen.show_tasks(tasks);
        }
    }
    if (!ended) {
        if (const auto why = waiting.stall.look(tasks, util::boot_time(), *reader_)) waiting.screen.say(*why);
    }
    return ended;
}

/// Waits until all have ended, the time is over, or somebody interrupts.
void TaskWatch::wait_connected(Waiting& waiting) {
    const auto interval = !waiting.screen.shows()        ? kPollInterval
                          : waiting.task_ids.size() == 1 ? kShowInterval
                                                         : kShowManyInterval;
    std::set<std::int64_t> awaited(waiting.task_ids.begin(), waiting.task_ids.end());
    waiting.result.end = WaitEnd::all_ended;
    while (!update(waiting)) {
        const auto next_look = std::min(util::boot_time() + interval, waiting.deadline);
        // Looks again at the next interval, or once everything waited for has been announced.
        for (bool look = false; !look;) {
            for (const auto& notification : listener_->take_notifications()) {
                awaited.erase(std::strtoll(notification.payload.c_str(), nullptr, 10));
            }
            const auto left = next_look - util::boot_time();
            look = awaited.empty() || left <= milliseconds::zero();
            if (!look && interrupted_while_waiting(listener_->socket(), waiting.signals, left)) {
                waiting.result.end = WaitEnd::interrupted;
                return;
            }
        }
        if (util::boot_time() >= waiting.deadline) {
            if (!update(waiting)) waiting.result.end = WaitEnd::timed_out;
            return;
        }
        // An announcement that the database does not confirm must not make this loop spin.
        awaited.insert(waiting.task_ids.begin(), waiting.task_ids.end());
    }
}

/// Pauses until `until`; false, with the end set, when somebody interrupts or the time is over.
bool TaskWatch::pause(Waiting& waiting, milliseconds until) {
    for (auto now = util::boot_time(); now < std::min(until, waiting.deadline); now = util::boot_time()) {
        if (interrupted_while_waiting(-1, waiting.signals, std::min(until, waiting.deadline) - now)) {
            waiting.result.end = WaitEnd::interrupted;
            return false;
        }
    }
    if (util::boot_time() < waiting.deadline) return true;
    waiting.result.end = WaitEnd::unreachable;
    return false;
}

/// Tries until the database answers again; false, with the end set, when that did not come to be.
bool TaskWatch::reconnect(Waiting& waiting, const std::string& cause) {
    waiting.screen.say(fmt::format("the database does not answer ({}); the tasks go on, trying again",
                                   printable(cause.substr(0, cause.find('\n')))));
    for (;;) {
        if (!pause(waiting, util::boot_time() + kReconnectInterval)) return false;
        try {
            connect();
        } catch (const CommandError& error) {
            if (error.code() != ExitCode::database_unreachable) throw;
            continue;
        } catch (const postgres::DatabaseError& error) {
            if (!error.connection_is_gone()) throw;
            continue;
        }
        waiting.screen.say("the database answers again");
        return true;
    }
}

WaitResult TaskWatch::wait(const std::vector<std::int64_t>& task_ids, std::optional<milliseconds> limit) {
    StopSignals signals;
    Screen screen(context_);
    const auto now = util::boot_time();
    Waiting waiting{task_ids, limit ? now + *limit : milliseconds::max(), signals, screen, StallNotice(now),
                    {}};
    for (;;) {
        std::string cause;
        try {
            wait_connected(waiting);
            return std::move(waiting.result);
        } catch (const postgres::DatabaseError& error) {
            if (!error.connection_is_gone()) throw;
            cause = error.what();
        }
        if (!reconnect(waiting, cause)) return std::move(waiting.result);
    }
}

ExitCode report_wait(const Context& context, const WaitResult& result) {
    const auto open = std::count_if(result.tasks.begin(), result.tasks.end(),
                                    [](const auto& task) { return !task_has_ended(task.state); });
    if (result.end == WaitEnd::interrupted) {
        context.remark("no longer waiting; the tasks go on");
        return ExitCode::interrupted;
    }
    if (result.end == WaitEnd::unreachable) {
        std::string ids;
        for (const auto& task : result.tasks) {
            if (!task_has_ended(task.state)) ids += fmt::format(" {}", task.task_id);
        }
        throw CommandError(ExitCode::database_unreachable,
                           "the database did not answer until the time was over; the tasks go on",
                           fmt::format("wait again with `tasker task wait{}`", ids));
    }
    if (result.end == WaitEnd::timed_out) {
        context.remark(
            fmt::format("the time is over: {} not ended yet and will go on. Is an orchestrator running "
                        "(`tasker health`) and a worker for these handlers (`tasker worker list`)?",
                        count_text(open, "task has", "tasks have")));
        return ExitCode::failed;
    }
    if (!context.json) {
        for (const auto& task : result.tasks) {
            if (result.tasks.size() > 20 && task_went_well(task.state)) continue;
            context.print(fmt::format("task {} {}: {} of {} steps complete", task.task_id,
                                      styled(task.state, style_of_state(task.state), context.color()),
                                      task.completed_steps, task.total_steps));
        }
        const auto failed = std::count_if(result.tasks.begin(), result.tasks.end(),
                                          [](const auto& task) { return !task_went_well(task.state); });
        if (failed > 0) context.remark("see `tasker task show ID` for what went wrong");
    }
    return result.all_complete() ? ExitCode::ok : ExitCode::failed;
}

}  // namespace tasker::cli
