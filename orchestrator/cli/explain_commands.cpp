#include "orchestrator/cli/explain_commands.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

#include "orchestrator/api/explain.hpp"
#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/cli/show/explain_text.hpp"
#include "orchestrator/cli/show/table.hpp"

namespace tasker::cli {
namespace {

// Of steps with the same cause so many are shown; the others are counted.
constexpr std::size_t kShownPerCause = 8;

struct ExplainOptions {
    std::int64_t id = 0;
    std::string step;
};

CommandError no_such_step(const ExplainOptions& options) {
    return {ExitCode::not_found,
            fmt::format("task {} has no open step \"{}\"", options.id, printable(options.step)),
            fmt::format("complete and resolved steps need no explanation; see `tasker task show {}`",
                        options.id)};
}

bool is_meant(const api::Explanation& step, const std::string& wanted) {
    return wanted.empty() || step.name == wanted || std::to_string(step.workflow_step_id) == wanted;
}

ExitCode answer_in_json(const Context& context, postgres::Connection& connection,
                        const ExplainOptions& options) {
    const auto step = options.step.empty() ? std::nullopt : std::optional(options.step);
    const auto answer = api::explain_json(connection, options.id, step);
    if (!answer) {
        throw CommandError(ExitCode::not_found, fmt::format("there is no task {}", options.id),
                           "see `tasker task list`");
    }
    if (step && parse_answer(*answer)["steps"].empty()) throw no_such_step(options);
    print_answer(context, *answer);
    return ExitCode::ok;
}

// What somebody can do matters more than what happens by itself; a time matters as well.
std::string next_of(const ExplainedLine& line) {
    if (line.action.empty()) return line.next;
    return line.timed && !line.next.empty() ? line.next + "; " + line.action : line.action;
}

void print_headline(const Context& context, const ExplainOptions& options, const api::TaskExplanation& answer,
                    const ExplainText& text) {
    const auto line = text.headline(options.id);
    const Style style =
        answer.task.cause == "orchestrator_down" ? Style::bad : style_of_state(answer.task.state);
    context.print(fmt::format("task {}  {}  {}", options.id,
                              styled(answer.task.state, style, context.color()), line.why));
    if (!line.action.empty()) context.print("  " + styled(line.action, Style::bold, context.color()));
}

void print_steps(const Context& context, const std::vector<const api::Explanation*>& steps,
                 const ExplainText& text) {
    std::map<std::string, std::size_t> counts;
    Table table({{"STEP", Align::right}, {"NAME"}, {"STATE"}, {"CAUSE"}, {"WHY"}, {"NEXT"}});
    const auto close = [&](const std::string& cause) {
        const auto count = counts[cause];
        if (count <= kShownPerCause) return;
        table.add({"",
                   "",
                   "",
                   {cause, Style::dim},
                   {fmt::format("… {} more steps {}", count - kShownPerCause, ExplainText::plural(cause)),
                    Style::dim}});
    };
    const api::Explanation* before = nullptr;
    for (const auto* step : steps) {
        if (before != nullptr && before->cause != step->cause) close(before->cause);
        before = step;
        if (++counts[step->cause] > kShownPerCause) continue;
        const auto line = text.of(*step);
        table.add({std::to_string(step->workflow_step_id),
                   {printable(step->name), Style::bold},
                   {step->state, style_of_state(step->state)},
                   step->cause,
                   line.why,
                   next_of(line)});
    }
    if (before != nullptr) close(before->cause);
    std::string lines = "\n" + table.text(context.color());
    lines.pop_back();
    context.print(lines);
}

// Nobody can move the steps of a cancelled task, so they are counted; those that failed before stay.
void print_cancelled(const Context& context, std::int64_t task_id,
                     std::vector<const api::Explanation*>& steps) {
    const auto count = std::erase_if(steps, [](const auto* step) { return step->cause == "cancelled"; });
    if (count == 0) return;
    context.print(fmt::format("  {} cancelled with it: tasker task show {}",
                              count_text(static_cast<std::int64_t>(count), "step was", "steps were"),
                              task_id));
}

ExitCode explain(const Context& context, const ExplainOptions& options) {
    auto connection = context.connect_checked();
    if (context.json) return answer_in_json(context, connection, options);
    const auto answer = api::explain_task(connection, options.id);
    if (!answer) {
        throw CommandError(ExitCode::not_found, fmt::format("there is no task {}", options.id),
                           "see `tasker task list`");
    }
    std::vector<const api::Explanation*> steps;
    for (const auto& step : answer->steps) {
        if (is_meant(step, options.step)) steps.push_back(&step);
    }
    if (!options.step.empty() && steps.empty()) throw no_such_step(options);
    std::stable_sort(steps.begin(), steps.end(), [](const auto* a, const auto* b) {
        return ExplainText::rank(a->cause) < ExplainText::rank(b->cause);
    });
    const ExplainText text(*answer);
    print_headline(context, options, *answer, text);
    if (answer->task.state == "cancelled" && options.step.empty())
        print_cancelled(context, options.id, steps);
    if (!steps.empty()) print_steps(context, steps, text);
    return ExitCode::ok;
}

}  // namespace

void add_task_explain(CLI::App& group, Context& context) {
    auto options = std::make_shared<ExplainOptions>();
    CLI::App* command =
        group.add_subcommand("explain", "why a task, and each of its open steps, is not running");
    command->add_option("id", options->id, "the task")->required()->type_name("ID");
    command->add_option("--step", options->step, "only this step")->type_name("NAME|ID");
    command->footer(
        "Names the one cause of every step that is not complete or resolved:\n"
        "  running               on a worker, until it reports or times out\n"
        "  awaiting_start_grant  a worker holds it and must be granted the start\n"
        "  accepted              held by a worker, waits for a free slot there\n"
        "  published             sent to a worker, not started there\n"
        "  plain_worker          with the plain worker, or waiting for it\n"
        "  ready                 the next turn claims it\n"
        "  namespace_turn        ready; another namespace is first in this turn\n"
        "  turn_full             ready, behind more steps than one turn takes\n"
        "  no_credit             every worker that serves it is full or busy\n"
        "  backoff, snoozed, not_before   its time has not come\n"
        "  handed_back           workers keep giving it back, so it pauses\n"
        "  no_session            no worker serves its handler in its namespace\n"
        "  waiting_for_parents   steps before it are not complete\n"
        "  failed, blocked_by_failed_step   an operator decides\n"
        "  cancelled             it stays so\n"
        "  inconsistent          nothing explains it: `tasker db check`\n"
        "The task has the first of its steps' causes in this order, orchestrator_down while no orchestrator "
        "has been\n"
        "seen for 5 s, or its state once it has ended.\n"
        "\n"
        "--json prints task_id, state, cause, since, next_event, next_at, blocking_step_id, detail and "
        "steps[] with\n"
        "workflow_step_id, name, state, cause, since, next_event, next_at, blocking_step_id, waits_for, "
        "ahead, …\n"
        "Exits with 0 when it could answer, with 4 when there is no such task or open step.\n"
        "\n"
        "Examples:\n  tasker task explain 17\n  tasker task explain 17 --step ship_order --json");
    context.on_run(command, [&context, options] { return explain(context, *options); });
}

}  // namespace tasker::cli
