// tasker worker list
#include <fmt/format.h>

#include <memory>

#include "orchestrator/cli/answers.hpp"
#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/store/queries.hpp"

namespace tasker::cli {
namespace {

std::string joined(const Json& list, std::size_t columns) {
    std::string text;
    for (const auto& one : list) text += (text.empty() ? "" : ", ") + cell_text(one);
    return shortened(text, columns);
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
                   state_cell(row["state"]),
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
}

}  // namespace tasker::cli
