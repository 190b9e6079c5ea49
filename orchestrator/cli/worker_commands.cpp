// tasker worker list|drain
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "orchestrator/cli/answers.hpp"
#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/store/operators.hpp"
#include "orchestrator/store/queries.hpp"

namespace tasker::cli {
namespace {

std::string joined(const Json& list, std::size_t columns) {
    std::string text;
    for (const auto& one : list) text += (text.empty() ? "" : ", ") + cell_text(one);
    return shortened(text, columns);
}

/// The state, and what was asked of a session that has not followed yet.
Cell session_cell(const Json& row) {
    Cell cell = state_cell(row["state"]);
    const bool asked = !row["drain_requested_at"].is_null();
    if (asked && (cell.text == "greeted" || cell.text == "ready" || cell.text == "suspect")) {
        cell.text += ", drain asked";
    }
    return cell;
}

ExitCode list(const Context& context, bool all) {
    auto connection = context.connect_checked();
    const std::string answer = store::worker_list_json(connection, all);
    if (context.json) {
        print_answer(context, answer);
        return ExitCode::ok;
    }
    const Json rows = parse_answer(answer);
    if (rows.empty()) {
        context.print(all ? "no worker has ever said hello"
                          : "no worker is connected (--all also shows those that have gone)");
        return ExitCode::ok;
    }
    Table table({{"WORKER"},
                 {"STATE"},
                 {"LANGUAGE"},
                 {"IN FLIGHT", Align::right},
                 {"HEARTBEAT", Align::right},
                 {"NAMESPACES"},
                 {"HANDLERS"},
                 {"HOST"},
                 {"SESSION"}});
    for (const auto& row : rows) {
        table.add({{cell_text(row["worker_id"]), Style::bold},
                   session_cell(row),
                   cell_text(row["language"]),
                   fmt::format("{}/{}", cell_text(row["in_flight"]), cell_text(row["capacity"])),
                   duration_text(row["heartbeat_age_ms"].get<double>() / 1000) + " ago",
                   joined(row["namespaces"], 30),
                   joined(row["handlers"], 60),
                   fmt::format("{} pid {}", cell_text(row["host"]), cell_text(row["pid"])),
                   {cell_text(row["session"]), Style::dim}});
    }
    std::string text = table.text(context.color());
    text.pop_back();
    context.print(text);
    return ExitCode::ok;
}

struct DrainOptions {
    std::string worker;
    std::optional<double> deadline_seconds;
};

ExitCode drain(const Context& context, const DrainOptions& options) {
    std::optional<std::int64_t> deadline_ms;
    if (options.deadline_seconds) {
        deadline_ms = static_cast<std::int64_t>(*options.deadline_seconds * 1000);
    }
    auto connection = context.connect_checked();
    const std::string answer = store::request_drain_json(connection, options.worker, deadline_ms);
    const Json rows = parse_answer(answer);
    if (rows.empty()) {
        throw CommandError(ExitCode::not_found,
                           fmt::format("there is no worker or session \"{}\"", printable(options.worker)),
                           "see `tasker worker list`");
    }
    const bool any_live =
        std::any_of(rows.begin(), rows.end(), [](const Json& row) { return row["outcome"] != "ended"; });
    if (context.json) {
        print_answer(context, answer);
        return any_live ? ExitCode::ok : ExitCode::failed;
    }
    if (!any_live) {
        throw CommandError(ExitCode::failed,
                           fmt::format("worker \"{}\" has no live session", printable(options.worker)),
                           "it is gone already: see `tasker worker list --all`");
    }
    for (const auto& row : rows) {
        if (row["outcome"] == "ended") continue;
        context.print(printable(
            fmt::format("session {} of {} ({}, {} in flight): drain {}", cell_text(row["session"]),
                        cell_text(row["worker_id"]), cell_text(row["state"]), cell_text(row["in_flight"]),
                        row["outcome"] == "requested" ? "requested" : "was requested already")));
    }
    return ExitCode::ok;
}

void add_drain(CLI::App* group, Context& context) {
    auto options = std::make_shared<DrainOptions>();
    CLI::App* command = group->add_subcommand("drain", "let a worker finish what it runs, and leave");
    command->add_option("worker", options->worker, "its name (all its live sessions), or one session's id")
        ->required()
        ->type_name("WORKER|SESSION");
    command
        ->add_option("--deadline", options->deadline_seconds,
                     "how long running steps may take; default: what the worker itself allows")
        ->type_name("SECONDS")
        ->check(CLI::Range(0.0, 86'400.0).description(""));
    command->footer(
        "The worker gets no new steps, hands back those it has not started, lets running ones end, and says\n"
        "goodbye. The request is kept, and carried out as soon as an orchestrator serves.\n"
        "Exits with 0 when requested (or so already), 1 when all its sessions have ended, 4 when it is "
        "unknown.\n"
        "--json prints one row per session: session, worker_id, state, outcome (requested, unchanged, "
        "ended),\n"
        "drain_requested_at, drain_deadline_ms, in_flight.\n"
        "\n"
        "Examples:\n  tasker worker drain orders-1\n  tasker worker drain 00ff12ab34cd56ef --deadline 30");
    context.on_run(command, [&context, options] { return drain(context, *options); });
}

}  // namespace

void add_worker_commands(CLI::App& app, Context& context) {
    CLI::App* group = app.add_subcommand("worker", "the workers that carry out steps");
    group->require_subcommand(1);
    auto all = std::make_shared<bool>(false);
    CLI::App* list_command = group->add_subcommand("list", "list the workers that are connected");
    list_command->add_flag("--all", *all, "also sessions that are lost or gone");
    list_command->footer(
        "The orchestrator writes this list about once a second; each life of a worker process is one "
        "session.\n"
        "\n"
        "Examples:\n  tasker worker list\n  tasker worker list --all --json");
    context.on_run(list_command, [&context, all] { return list(context, *all); });
    add_drain(group, context);
}

}  // namespace tasker::cli
