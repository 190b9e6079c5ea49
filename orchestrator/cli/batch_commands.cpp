// tasker batch list|show|discrepancies|acknowledge
#include <fmt/format.h>

#include <memory>

#include "orchestrator/api/query.hpp"
#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/list_options.hpp"
#include "orchestrator/cli/operations.hpp"
#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/core/states.hpp"

namespace tasker::cli {
namespace {

struct BatchListOptions {
    std::optional<std::int64_t> task_id;
    std::string state;
    std::shared_ptr<ListOptions> common;
};

void print_titled(const Context& context, const std::string& title, const Table& table, const char* empty) {
    context.print("\n" + styled(title, Style::bold, context.color()));
    print_table(context, table, empty);
}

std::string worker_text(const Json& row) {
    if (row["session"].is_null()) return "(plain worker)";
    const std::string worker = cell_text(row["worker_id"]);
    return worker.empty() ? "session " + cell_text(row["session"]) : worker;
}

/// The state, and beside `timed_out` why its steps ended without a report: seldom has a time run out.
Cell batch_state_cell(const Json& row) {
    Cell cell = state_cell(row["state"]);
    const std::string reason = cell_text(row["ended_by"]);
    if (!reason.empty()) cell.text += fmt::format(" ({})", reason);
    return cell;
}

ExitCode list(const Context& context, const BatchListOptions& options) {
    if (!options.state.empty() && !core::parse_batch_state(options.state)) {
        throw no_such_word(options.state, "state of a batch",
                           {"created", "published", "executing", "completed", "partially_failed", "failed",
                            "timed_out", "cancelled"});
    }
    auto connection = context.connect_checked();
    const std::string answer = api::batch_list_json(
        connection, {options.task_id, options.state.empty() ? std::nullopt : std::optional(options.state),
                     options.common->limit, options.common->read()});
    if (context.json) {
        print_answer(context, answer);
        return ExitCode::ok;
    }
    Table table({{"BATCH", Align::right},
                 {"TASK", Align::right},
                 {"HANDLER"},
                 {"STATE"},
                 {"RECONCILED"},
                 {"REPORTS", Align::right},
                 {"COMPLETION"},
                 {"WORKER"},
                 {"CREATED"}});
    const Json rows = parse_answer(answer);
    for (const auto& row : rows) {
        table.add(
            {cell_text(row["batch_id"]),
             row["task_id"].is_null() ? "several" : cell_text(row["task_id"]),
             cell_text(row["handler_class"]),
             batch_state_cell(row),
             state_cell(row["reconciliation_status"]),
             fmt::format("{}/{}", cell_text(row["partial_results_received"]), cell_text(row["batch_size"])),
             row["final_completion_received"].get<bool>() ? "yes" : "no",
             worker_text(row),
             {cell_time(row["created_at"]), Style::dim}});
    }
    const bool narrowed = options.task_id || !options.state.empty() || options.common->narrows();
    print_table(context, table, empty_text("batch", narrowed, "no batch was ever sent"));
    if (rows.empty()) return ExitCode::ok;
    const std::string more = more_text(*options.common, rows.size(), cell_text(rows.back()["batch_id"]));
    if (!more.empty()) context.print(more);
    return ExitCode::ok;
}

void print_deliveries(const Context& context, const Json& batch) {
    Table table({{"#", Align::right},
                 {"STEP", Align::right},
                 {"NAME"},
                 {"TASK", Align::right},
                 {"ATTEMPT", Align::right},
                 {"REPORTED AS"},
                 {"REPORTED AT"},
                 {"STEP IS NOW"}});
    for (const auto& step : batch["steps"]) {
        table.add({cell_text(step["sequence_order"]),
                   cell_text(step["workflow_step_id"]),
                   cell_text(step["name"]),
                   cell_text(step["task_id"]),
                   cell_text(step["attempt"]),
                   state_cell(step["final_status"]),
                   {cell_time(step["reported_at"]), Style::dim},
                   state_cell(step["state"])});
    }
    print_titled(context, "steps", table, "none");
}

void print_ledger(const Context& context, const Json& batch) {
    context.print("\n" + styled("ledger: every message that came, as it came", Style::bold, context.color()));
    if (batch["received_results"].empty()) context.print("nothing has come");
    for (const auto& row : batch["received_results"]) {
        const std::string name = cell_text(row["name"]);
        context.print(fmt::format("{}  {} {}{}  {}  from {}", cell_time(row["processed_at"]),
                                  cell_text(row["message_type"]), cell_text(row["sequence_number"]),
                                  name.empty() ? "" : "  " + printable(name),
                                  styled(cell_text(row["disposition"]),
                                         style_of_state(cell_text(row["disposition"])), context.color()),
                                  printable(cell_text(row["worker_id"]))));
        context.print("    " + shortened(cell_text(row["raw_message_json"]), 2000));
    }
}

ExitCode show(const Context& context, const std::string& id) {
    auto connection = context.connect_checked();
    const auto answer = api::batch_json(connection, id);
    if (!answer)
        throw CommandError(ExitCode::not_found, fmt::format("there is no batch {}", id),
                           "see `tasker batch list`");
    if (context.json) {
        print_answer(context, *answer);
        return ExitCode::ok;
    }
    const Json batch = parse_answer(*answer);
    const Cell state = batch_state_cell(batch);
    context.print(fmt::format("batch {}  {}  {}", cell_text(batch["batch_id"]),
                              cell_text(batch["batch_uuid"]),
                              styled(state.text, state.style, context.color())));
    context.print(fmt::format("  {} in namespace {}, sent to {}, epoch {} turn {}",
                              cell_text(batch["handler_class"]), cell_text(batch["namespace"]),
                              printable(worker_text(batch)), cell_text(batch["epoch"]),
                              cell_text(batch["turn"])));
    print_deliveries(context, batch);
    print_ledger(context, batch);
    Table transitions({{"#", Align::right}, {"AT"}, {"EVENT"}, {"FROM"}, {"TO"}});
    for (const auto& row : batch["transitions"]) {
        transitions.add({cell_text(row["sort_key"]),
                         {cell_text(row["created_at"]), Style::dim},
                         cell_text(row["event_name"]),
                         state_cell(row["from_state"]),
                         state_cell(row["to_state"])});
    }
    print_titled(context, "transitions", transitions, "none");
    const auto verdict = cell_text(batch["reconciliation_status"]);
    context.print(fmt::format("\n{}  {}: {} of {} steps reported, completion {}",
                              styled("reconciliation", Style::bold, context.color()),
                              styled(verdict, style_of_state(verdict), context.color()),
                              cell_text(batch["partial_results_received"]), cell_text(batch["batch_size"]),
                              batch["final_completion_received"].get<bool>() ? "received" : "not received"));
    for (const auto& difference : batch["discrepancies"]) {
        context.print(fmt::format("  {} {}: {}", cell_text(difference.value("kind", Json())),
                                  cell_text(difference.value("step_id", Json())),
                                  printable(cell_text(difference.value("detail", Json())))));
    }
    if (!batch["acknowledged_at"].is_null()) {
        context.print(fmt::format("  acknowledged at {} by {}: {}", cell_time(batch["acknowledged_at"]),
                                  printable(cell_text(batch["acknowledged_by"])),
                                  printable(cell_text(batch["acknowledged_reason"]))));
    }
    return ExitCode::ok;
}

ExitCode discrepancies(const Context& context, int limit, bool all) {
    auto connection = context.connect_checked();
    const std::string answer = api::discrepancies_json(connection, limit, all);
    if (context.json) {
        print_answer(context, answer);
        return ExitCode::ok;
    }
    Table table({{"BATCH", Align::right},
                 {"TASK", Align::right},
                 {"HANDLER"},
                 {"STATE"},
                 {"KIND"},
                 {"STEP", Align::right},
                 {"DETAIL"},
                 {"CREATED"}});
    for (const auto& row : parse_answer(answer)) {
        table.add({cell_text(row["batch_id"]),
                   row["task_id"].is_null() ? "several" : cell_text(row["task_id"]),
                   cell_text(row["handler_class"]),
                   state_cell(row["state"]),
                   {cell_text(row["kind"]), Style::bad},
                   cell_text(row["workflow_step_id"]),
                   cell_text(row["detail"]),
                   {cell_time(row["created_at"]), Style::dim}});
    }
    print_table(
        context, table,
        all ? "no discrepancy: partial results and completions agree in every reconciled batch"
            : "no open discrepancy; --all shows those that a lost worker explains, and acknowledged ones");
    return ExitCode::ok;
}

void add_discrepancies(CLI::App* group, Context& context) {
    auto limit = std::make_shared<int>(200);
    auto all = std::make_shared<bool>(false);
    CLI::App* differ = group->add_subcommand("discrepancies", "batches whose reports and completion differ");
    differ->add_flag("--all", *all, "also what the loss of a worker explains, and what was acknowledged");
    differ->add_option("--limit", *limit, "how many (default 200)")
        ->type_name("N")
        ->check(CLI::Range(1, 100'000).description(""));
    differ->footer(
        "Lists what nothing explains and nobody has acknowledged: `tasker batch acknowledge` closes it.");
    context.on_run(differ, [&context, limit, all] { return discrepancies(context, *limit, *all); });
}

void add_acknowledge(CLI::App* group, Context& context) {
    CLI::App* command = group->add_subcommand("acknowledge", "close the discrepancies of a batch");
    auto id = std::make_shared<std::int64_t>();
    command->add_option("batch", *id, "its number")->required()->type_name("BATCH_ID");
    const auto note = add_note_options(command);
    command->get_option("--reason")->required();
    command->footer(
        std::string(
            "Somebody has looked at it: it is listed no more, and health does not count it. The batch\n"
            "itself stays as it is. What differs later opens it again.\n\n") +
        kOperationExitCodes + "\nExample:\n  tasker batch acknowledge 42 --reason 'counted by hand'");
    context.on_run(command, [&context, id, note] {
        auto connection = context.connect_checked();
        return report_operation(context, api::acknowledge_batch(connection, *id, *note));
    });
}

}  // namespace

void add_batch_commands(CLI::App& app, Context& context) {
    CLI::App* group = app.add_subcommand("batch", "what was sent to workers, and what came back");
    group->require_subcommand(1);
    group->footer(
        "A batch carries steps of one handler to one worker. The worker reports each step at once (partial\n"
        "results) and the whole batch at its end (completion); reconciliation compares the two.\n"
        "\n"
        "Examples:\n"
        "  tasker batch list --task 17\n"
        "  tasker batch show 42\n"
        "  tasker batch discrepancies --json\n"
        "  tasker batch acknowledge 42 --reason 'counted, nothing is missing'");

    auto list_options = std::make_shared<BatchListOptions>();
    CLI::App* list_command = group->add_subcommand("list", "list batches, the newest first");
    list_command->add_option("--task", list_options->task_id, "only batches with steps of this task")
        ->type_name("ID");
    list_command
        ->add_option(
            "--state", list_options->state,
            "created, published, executing, completed, partially_failed, failed, timed_out or cancelled")
        ->type_name("STATE");
    list_options->common = add_list_options(list_command);
    list_command->footer(
        "--template and --error look at the steps of a batch: at their last error.\n"
        "\n"
        "Examples:\n  tasker batch list --task 17\n  tasker batch list --state timed_out --since 1d");
    context.on_run(list_command, [&context, list_options] { return list(context, *list_options); });

    auto id = std::make_shared<std::string>();
    CLI::App* show_command = group->add_subcommand("show", "show one: steps, ledger, transitions, verdict");
    show_command->add_option("id", *id, "its number, or the uuid that logs and messages show")
        ->required()
        ->type_name("ID|UUID");
    show_command->footer(
        "The ledger shows each message as it came, with what became of it: applied (changed state), noted,\n"
        "duplicate, stale_attempt, late or unknown.");
    context.on_run(show_command, [&context, id] { return show(context, *id); });

    add_discrepancies(group, context);
    add_acknowledge(group, context);
}

}  // namespace tasker::cli
