// tasker dlq list|show|replay|discard
#include <fmt/format.h>

#include <memory>

#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/list_options.hpp"
#include "orchestrator/cli/operations.hpp"
#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/cli/show/dead_letter_text.hpp"

namespace tasker::cli {
namespace {

std::string error_text(const Json& error) {
    if (error.is_object() && error.contains("message")) return cell_text(error["message"]);
    return cell_text(error);
}

/// "open", or how it was closed; an open one with a late success is nearly done.
Cell status_cell(const Json& row) {
    if (!row["is_open"].get<bool>()) return {cell_text(row["resolution"]), Style::dim};
    if (row["has_late_result"].get<bool>()) return {"open, LATE SUCCESS", Style::warning};
    return {"open", Style::bad};
}

ExitCode list(const Context& context, api::DeadLetterFilter filter, const ListOptions& options) {
    filter.limit = options.limit;
    filter.more = options.read();
    if (filter.reason && meaning_of_reason(*filter.reason).empty()) {
        throw no_such_word(*filter.reason, "reason of a dead letter", dead_letter_reasons());
    }
    auto connection = context.connect_checked();
    const std::string answer = api::dead_letter_list_json(connection, filter);
    if (context.json) {
        print_answer(context, answer);
        return ExitCode::ok;
    }
    const Json rows = parse_answer(answer);
    if (rows.empty()) {
        const bool narrowed = filter.task_id || filter.reason || options.narrows();
        context.print(filter.all ? empty_text("dead letter", narrowed, "no dead letter was ever written")
                                 : empty_text("open dead letter", narrowed, "no open dead letter") +
                                       " (--all also shows those that are closed)");
        return ExitCode::ok;
    }
    Table table({{"ID", Align::right},
                 {"STATUS"},
                 {"REASON"},
                 {"STEP", Align::right},
                 {"NAME"},
                 {"TASK", Align::right},
                 {"TEMPLATE"},
                 {"ATTEMPT", Align::right},
                 {"LAST ERROR"},
                 {"LAST WORKER"},
                 {"SINCE"}});
    for (const auto& row : rows) {
        table.add({cell_text(row["dead_letter_id"]),
                   status_cell(row),
                   cell_text(row["reason"]),
                   cell_text(row["workflow_step_id"]),
                   {cell_text(row["name"]), Style::bold},
                   cell_text(row["task_id"]),
                   fmt::format("{}/{}:{}", cell_text(row["namespace"]), cell_text(row["task_name"]),
                               cell_text(row["task_version"])),
                   cell_text(row["attempt"]),
                   cell_of_list(context, error_text(row["last_error"]), 60),
                   cell_text(row["last_worker"]),
                   {cell_time(row["created_at"]), Style::dim}});
    }
    print_table(context, table, "");
    const std::string more = more_text(options, rows.size(), cell_text(rows.back()["dead_letter_id"]));
    if (!more.empty()) context.print(more);
    return ExitCode::ok;
}

void print_facts(const Context& context, const Json& row) {
    const auto fact = [&](const char* title, const std::string& text) {
        if (text.empty()) return;
        context.print(styled(fmt::format("  {:<12}", title), Style::dim, context.color()) + printable(text));
    };
    const auto status = status_cell(row);
    const auto reason = cell_text(row["reason"]);
    context.print(fmt::format("dead letter {}  {}  {}", cell_text(row["dead_letter_id"]), reason,
                              styled(status.text, status.style, context.color())));
    fact("meaning", std::string(meaning_of_reason(reason)));
    fact("step", fmt::format("{} ({}), attempt {}; now {} at attempt {}", cell_text(row["workflow_step_id"]),
                             cell_text(row["name"]), cell_text(row["attempt"]), cell_text(row["state"]),
                             cell_text(row["attempts"])));
    fact("task", fmt::format("{} ({}/{}:{}), {}", cell_text(row["task_id"]), cell_text(row["namespace"]),
                             cell_text(row["task_name"]), cell_text(row["task_version"]),
                             cell_text(row["task_state"])));
    fact("handler",
         fmt::format("{}, on_orphan {}", cell_text(row["handler_class"]), cell_text(row["on_orphan"])));
    fact("last error", shortened(cell_text(row["last_error"]), 1000));
    fact("last worker", cell_text(row["last_worker"]));
    fact("idempotency", cell_text(row["idempotency_key"]) + ", the key of all its attempts");
    fact("since", cell_time(row["created_at"]));
    if (!row["is_open"].get<bool>()) {
        fact("closed", fmt::format("{} at {} by {}", cell_text(row["resolution"]),
                                   cell_time(row["resolved_at"]), cell_text(row["resolved_by"])));
        fact("because", cell_text(row["resolution_reason"]));
    }
}

void print_choices(const Context& context, const Json& row) {
    const auto id = cell_text(row["dead_letter_id"]);
    const auto step = cell_text(row["workflow_step_id"]);
    const bool is_late_success = row["has_late_result"].get<bool>();
    if (is_late_success) {
        context.print("\n" + styled("A LATE SUCCESS IS KNOWN: this attempt has completed after all, with",
                                    Style::warning, context.color()));
        context.print("  " + shortened(cell_text(row["late_result"]), 2000));
    }
    // What would be refused is not offered: the step has moved on, or its task is cancelled.
    if (row["is_current"] != true || row["task_state"] == "cancelled") return;
    context.print("\n" + styled("what you can do", Style::bold, context.color()));
    const auto offer = [&](const std::string& command, const char* effect) {
        context.print(fmt::format("  {}   {}", command, effect));
    };
    const std::string results = fmt::format("tasker step resolve {} --results", step);
    const auto resolve = [&] {
        offer(results + " '{}'", "it was done otherwise: go on, with your results instead of {}");
    };
    if (is_late_success) offer(results + " @late", "take the late result and go on");
    if (!row["is_open"].get<bool>()) {
        offer("tasker step retry " + step, "run the step again; it is still in error");
        resolve();
        return;
    }
    const std::string replay = "tasker dlq replay " + id;
    const std::string reason = cell_text(row["reason"]);
    if (reason == "handler_still_running") {
        resolve();
        offer(replay, "only once the handler has ended at its worker: else the step runs twice at a time");
    } else if (leaves_outcome_unknown(reason)) {
        resolve();
        offer(replay, "it was not done: run the step again");
    } else {
        offer(replay, "run the step again");
        resolve();
    }
    offer("tasker dlq discard " + id, "leave the step in error and close this");
}

ExitCode show(const Context& context, std::int64_t id) {
    auto connection = context.connect_checked();
    const auto answer = api::dead_letter_json(connection, id);
    if (!answer) {
        throw CommandError(ExitCode::not_found, fmt::format("there is no dead letter {}", id),
                           "see `tasker dlq list --all`");
    }
    if (context.json) {
        print_answer(context, *answer);
        return ExitCode::ok;
    }
    const Json row = parse_answer(*answer);
    print_facts(context, row);
    print_choices(context, row);
    return ExitCode::ok;
}

constexpr const char* kIdMeaning = "the dead letter, as `tasker dlq list` prints it";

void add_list(CLI::App* group, Context& context) {
    auto filter = std::make_shared<api::DeadLetterFilter>();
    CLI::App* command = group->add_subcommand("list", "list the open ones, the newest first");
    command->add_flag("--all", filter->all, "also those that are closed");
    command->add_option("--task", filter->task_id, "only of this task")->type_name("ID");
    command
        ->add_option("--reason", filter->reason,
                     fmt::format("one of {}", fmt::join(dead_letter_reasons(), ", ")))
        ->type_name("REASON");
    const auto options = add_list_options(command);
    command->footer(
        "Examples:\n  tasker dlq list\n  tasker dlq list --reason session_lost --json\n"
        "  tasker dlq list --handler Payments::Charge --since 1d --error timeout");
    context.on_run(command, [&context, filter, options] { return list(context, *filter, *options); });
}

void add_show(CLI::App* group, Context& context) {
    CLI::App* command = group->add_subcommand("show", "show one: what happened, and what you can do");
    auto id = std::make_shared<std::int64_t>();
    command->add_option("id", *id, kIdMeaning)->required()->type_name("ID");
    command->footer(
        "A success that came too late is shown with its output: `tasker step resolve STEP_ID --results "
        "@late`\n"
        "takes it. --json prints all columns with transitions[], the history of its step.\n"
        "\nExample:\n  tasker dlq show 3");
    context.on_run(command, [&context, id] { return show(context, *id); });
}

void add_closing(CLI::App* group, Context& context) {
    CLI::App* replay = group->add_subcommand("replay", "run its step again");
    const auto replay_ids = add_ids(replay, kIdMeaning);
    const auto replay_note = add_note_options(replay);
    add_dry_run(replay, replay_note);
    replay->footer(
        std::string(
            "As `tasker step retry`, but only if the step is still at the attempt that the dead letter is\n"
            "about. Look first: a step with on_orphan: dead_letter may have had its effect already.\n\n") +
        kOperationExitCodes + kSeveralIds +
        "\nExamples:\n  tasker dlq replay 3 --reason 'no payment was made'\n"
        "  tasker dlq list --error timeout --json | jq '.[].dead_letter_id' |\n"
        "    tasker dlq replay - --dry-run");
    context.on_run(replay, [&context, replay_ids, replay_note] {
        return operate_on(context, *replay_ids, *replay_note, api::replay_dead_letter);
    });

    CLI::App* discard = group->add_subcommand("discard", "close it; its step stays in error");
    const auto discard_ids = add_ids(discard, kIdMeaning);
    const auto discard_note = add_note_options(discard);
    add_dry_run(discard, discard_note);
    discard->footer(
        std::string("Nothing is deleted: `tasker dlq list --all` still shows it, and the step may still be\n"
                    "retried or resolved by its own id.\n\n") +
        kOperationExitCodes + kSeveralIds + "\nExample:\n  tasker dlq discard 3 --reason 'test order'");
    context.on_run(discard, [&context, discard_ids, discard_note] {
        return operate_on(context, *discard_ids, *discard_note, api::discard_dead_letter);
    });
}

}  // namespace

void add_dlq_commands(CLI::App& app, Context& context) {
    CLI::App* group = app.add_subcommand("dlq", "dead letters: steps that need a person's decision");
    group->require_subcommand(1);
    group->footer(
        "A dead letter is written when a step ends in error because its worker was lost or its time was "
        "over,\n"
        "because it used up its attempts, or because its request is too large to be sent. Replay it, "
        "resolve\n"
        "its step (tasker step resolve), or discard it.\n"
        "\n"
        "Examples:\n"
        "  tasker dlq list\n"
        "  tasker dlq show 3\n"
        "  tasker dlq replay 3 --reason 'no payment was made'\n"
        "  tasker step resolve 42 --results @late");
    add_list(group, context);
    add_show(group, context);
    add_closing(group, context);
}

}  // namespace tasker::cli
