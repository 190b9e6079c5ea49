// tasker worker list, and the group of the others
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "orchestrator/api/query.hpp"
#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/cli/worker_drain.hpp"
#include "orchestrator/cli/worker_rejected.hpp"

namespace tasker::cli {
namespace {

std::string joined(const Context& context, const Json& list, std::size_t columns) {
    std::string text;
    for (const auto& one : list) text += (text.empty() ? "" : ", ") + cell_text(one);
    return cell_of_list(context, text, columns);
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

/// "2 too_large, 1 broken_promise"; empty when there are none.
std::string faults_text(const Json& faults) {
    std::string text;
    for (const auto& [kind, times] : faults.items())
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", cell_text(times), kind);
    return text;
}

ExitCode list(const Context& context, bool all) {
    auto connection = context.connect_checked();
    const std::string answer = api::worker_list_json(connection, all);
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
    std::vector<Column> columns{{"WORKER"},
                                {"STATE"},
                                {"LANGUAGE"},
                                {"IN FLIGHT", Align::right},
                                {"HEARTBEAT", Align::right},
                                {"NAMESPACES"},
                                {"HANDLERS"},
                                {"HOST"},
                                {"SESSION"}};
    // Usually nobody has any.
    const bool any_faults =
        std::any_of(rows.begin(), rows.end(), [](const Json& row) { return !row["faults"].empty(); });
    if (any_faults) columns.push_back({"FAULTS"});
    Table table(std::move(columns));
    for (const auto& row : rows) {
        std::vector<Cell> cells{
            {cell_text(row["worker_id"]), Style::bold},
            session_cell(row),
            cell_text(row["language"]),
            fmt::format("{}/{}", cell_text(row["in_flight"]), cell_text(row["credit_limit"])),
            duration_text(row["heartbeat_age_ms"].get<double>() / 1000) + " ago",
            joined(context, row["namespaces"], 30),
            joined(context, row["handlers"], 60),
            fmt::format("{} pid {}", cell_text(row["host"]), cell_text(row["pid"])),
            {cell_text(row["session"]), Style::dim}};
        if (any_faults) cells.push_back({faults_text(row["faults"]), Style::warning});
        table.add(std::move(cells));
    }
    print_table(context, table, "");
    return ExitCode::ok;
}

}  // namespace

void add_worker_commands(CLI::App& app, Context& context) {
    CLI::App* group = app.add_subcommand("worker", "the workers that carry out steps");
    group->require_subcommand(1);
    auto all = std::make_shared<bool>(false);
    CLI::App* list_command = group->add_subcommand("list", "list the workers that are connected");
    list_command->add_flag("--all", *all, "also sessions that have left, are lost or gone");
    list_command->footer(
        "The orchestrator writes this list about once a second; each life of a worker process is one "
        "session.\n"
        "IN FLIGHT is the steps that a session has, of those that it may have: capacity times prefetch.\n"
        "FAULTS counts what a session did against the protocol: frames that are too_large, a seen_n_ahead of\n"
        "every heartbeat, a claim_first step started_without_grant, a broken_promise (a step that ran came\n"
        "back as never started).\n"
        "\n"
        "Examples:\n  tasker worker list\n  tasker worker list --all --json");
    context.on_run(list_command, [&context, all] { return list(context, *all); });
    add_worker_drain(*group, context);
    add_worker_rejected(*group, context);
}

}  // namespace tasker::cli
