// tasker batch list|show|discrepancies
#include <fmt/format.h>

#include <memory>

#include "orchestrator/cli/answers.hpp"
#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/core/states.hpp"
#include "orchestrator/store/queries.hpp"

namespace tasker::cli {
namespace {

struct ListOptions {
    std::optional<std::int64_t> task_id;
    std::string state;
    int limit = 50;
};

void print_table(const Context& context, const std::string& title, const Table& table, const char* empty) {
    if (!title.empty()) context.print("\n" + styled(title, Style::bold, context.color()));
    std::string text = table.text(context.color());
    if (text.empty()) {
        context.print(empty);
        return;
    }
    text.pop_back();
    context.print(text);
}

std::string worker_text(const Json& row) {
    if (row["session"].is_null()) return "(plain worker)";
    const std::string worker = cell_text(row["worker_id"]);
    return worker.empty() ? "session " + cell_text(row["session"]) : worker;
}

ExitCode list(const Context& context, const ListOptions& options) {
    if (!options.state.empty() && !core::parse_batch_state(options.state)) {
        throw CommandError(
            ExitCode::usage, fmt::format("\"{}\" is no state of a batch", options.state),
            "created, published, executing, completed, partially_failed, failed, timed_out or cancelled");
    }
    auto connection = context.connect_checked();
    const std::string answer = store::batch_list_json(
        connection, {options.task_id, options.state.empty() ? std::nullopt : std::optional(options.state),
                     options.limit});
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
    for (const auto& row : parse_answer(answer)) {
        table.add(
            {cell_text(row["batch_id"]),
             row["task_id"].is_null() ? "several" : cell_text(row["task_id"]),
             cell_text(row["handler_class"]),
             state_cell(row["state"]),
             state_cell(row["reconciliation_status"]),
             fmt::format("{}/{}", cell_text(row["partial_results_received"]), cell_text(row["batch_size"])),
             row["final_completion_received"].get<bool>() ? "yes" : "no",
             worker_text(row),
             {cell_time(row["created_at"]), Style::dim}});
    }
    print_table(context, "", table, "no such batch");
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
    print_table(context, "steps", table, "none");
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
    const auto answer = store::batch_json(connection, id);
    if (!answer)
        throw CommandError(ExitCode::not_found, fmt::format("there is no batch {}", id),
                           "see `tasker batch list`");
    if (context.json) {
        print_answer(context, *answer);
        return ExitCode::ok;
    }
    const Json batch = parse_answer(*answer);
    const auto state = cell_text(batch["state"]);
    context.print(fmt::format("batch {}  {}  {}", cell_text(batch["batch_id"]),
                              cell_text(batch["batch_uuid"]),
                              styled(state, style_of_state(state), context.color())));
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
    print_table(context, "transitions", transitions, "none");
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
    return ExitCode::ok;
}

ExitCode discrepancies(const Context& context, int limit) {
    auto connection = context.connect_checked();
    const std::string answer = store::discrepancies_json(connection, limit);
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
    print_table(context, "", table,
                "no discrepancy: partial results and completions agree in every reconciled batch");
    return ExitCode::ok;
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
        "  tasker batch discrepancies --json");

    auto list_options = std::make_shared<ListOptions>();
    CLI::App* list_command = group->add_subcommand("list", "list batches, the newest first");
    list_command->add_option("--task", list_options->task_id, "only batches with steps of this task")
        ->type_name("ID");
    list_command
        ->add_option(
            "--state", list_options->state,
            "created, published, executing, completed, partially_failed, failed, timed_out or cancelled")
        ->type_name("STATE");
    list_command->add_option("--limit", list_options->limit, "how many (default 50)")
        ->type_name("N")
        ->check(CLI::Range(1, 100'000).description(""));
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

    auto limit = std::make_shared<int>(200);
    CLI::App* differ = group->add_subcommand("discrepancies", "batches whose reports and completion differ");
    differ->add_option("--limit", *limit, "how many (default 200)")
        ->type_name("N")
        ->check(CLI::Range(1, 100'000).description(""));
    context.on_run(differ, [&context, limit] { return discrepancies(context, *limit); });
}

}  // namespace tasker::cli
