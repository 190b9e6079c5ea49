// tasker health
#include <fmt/format.h>

#include "orchestrator/api/query.hpp"
#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/health_probe.hpp"
#include "orchestrator/cli/show/answers.hpp"

namespace tasker::cli {
namespace {

using std::chrono::milliseconds;

// The orchestrator refreshes its row each second; five missed ones make it silent.
constexpr std::int64_t kFreshMs = 5000;
constexpr milliseconds kProbeLimit{2000};

struct Diagnosis {
    bool serving = false;
    std::string message;
    std::string advice;
    Json answer;  // of the command endpoint, null without one
};

Diagnosis diagnose(const Json& lanes) {
    if (lanes.empty()) {
        return {false, "no orchestrator has ever served this database",
                "start one: `tasker-orchestrator --config config/orchestrator.yaml`, or `tasker dev`",
                nullptr};
    }
    for (const auto& lane : lanes) {
        const std::string state = cell_text(lane["state"]);
        const auto age = lane["last_seen_age_ms"].get<std::int64_t>();
        const std::string who =
            fmt::format("lane {} (instance {}, pid {} on {})", cell_text(lane["lane"]),
                        cell_text(lane["instance"]), cell_text(lane["pid"]), cell_text(lane["host"]));
        if (state != "serving") {
            return {false, fmt::format("{} is {}", who, state),
                    state == "stopped" ? "start an orchestrator" : "look at its log if this lasts", nullptr};
        }
        if (age > kFreshMs) {
            return {
                false,
                fmt::format("{} was last seen {} ago", who, duration_text(static_cast<double>(age) / 1000)),
                "it was killed, hangs, or has lost the database: look at its log, start it again", nullptr};
        }
    }
    const auto& endpoints = lanes.front()["endpoints"];
    const std::string command = endpoints.is_object() ? cell_text(endpoints.value("command", Json())) : "";
    if (command.empty()) {
        return {false, "the orchestrator names no command endpoint", "look at its log", nullptr};
    }
    auto answer = ask_health(command, kProbeLimit);
    if (!answer) {
        return {false, answer.error(),
                "the database says it serves: either it has stopped within the last seconds, or its endpoint "
                "is not reachable from "
                "here (ipc:// needs the same host)",
                nullptr};
    }
    return {true, fmt::format("serving at {}", command), "", std::move(*answer)};
}

void print_counts(const Context& context, const Json& counts) {
    Table table({{""},
                 {"PENDING", Align::right},
                 {"IN PROGRESS", Align::right},
                 {"RETRY", Align::right},
                 {"COMPLETE", Align::right},
                 {"ERROR", Align::right},
                 {"CANCELLED", Align::right},
                 {"TOTAL", Align::right}});
    const auto cell = [&](const char* key) { return cell_text(counts[key]); };
    table.add({"tasks", cell("pending_tasks"), cell("in_progress_tasks"), "", cell("complete_tasks"),
               cell("error_tasks"), cell("cancelled_tasks"), cell("total_tasks")});
    table.add({"steps", cell("pending_steps"), cell("in_progress_steps"), cell("retryable_error_steps"),
               cell("complete_steps"), cell("error_steps"), cell("cancelled_steps"), cell("total_steps")});
    context.print(
        "\n" + table.text(context.color()) +
        fmt::format(
            "ready steps {}   open batches {}   discrepancies {}   dead letters {}   connections {} of {}",
            cell("ready_steps"), cell("open_batches"), cell("discrepancies"), cell("dead_letters"),
            cell("active_connections"), cell("max_connections")));
}

/// Every process with its role, and that there is nobody to take over.
void print_orchestrators(const Context& context, const Json& orchestrators, bool serving) {
    Table table({{"ROLE"}, {"STATE"}, {"SEEN", Align::right}, {"INSTANCE"}, {"HOST"}, {"PID", Align::right}});
    bool any_standby = false;
    for (const auto& one : orchestrators) {
        any_standby = any_standby || one["role"] == "standby";
        table.add({cell_text(one["role"]), state_cell(one["state"]),
                   duration_text(one["last_seen_age_ms"].get<double>() / 1000) + " ago",
                   cell_text(one["instance"]), cell_text(one["host"]), cell_text(one["pid"])});
    }
    if (!table.empty()) {
        context.print("");
        print_table(context, table, "");
    }
    if (serving && !any_standby) {
        context.print(styled("there is no standby: nobody takes over when the orchestrator dies",
                             Style::warning, context.color()));
    }
}

void print_lanes(const Context& context, const Json& lanes) {
    Table table({{"LANE", Align::right},
                 {"STATE"},
                 {"SEEN", Align::right},
                 {"EPOCH", Align::right},
                 {"TURN", Align::right},
                 {"INSTANCE"}});
    for (const auto& lane : lanes) {
        table.add({cell_text(lane["lane"]), state_cell(lane["state"]),
                   duration_text(lane["last_seen_age_ms"].get<double>() / 1000) + " ago",
                   cell_text(lane["epoch"]), cell_text(lane["turn"]), cell_text(lane["instance"])});
    }
    if (table.empty()) return;
    context.print("");
    print_table(context, table, "");
}

ExitCode health(const Context& context) {
    auto connection = context.connect_checked();
    const std::string raw = api::health_json(connection);
    Json facts = parse_answer(raw);
    const Diagnosis found = diagnose(facts["lanes"]);
    if (context.json) {
        facts["serving"] = found.serving;
        facts["message"] = found.message;
        facts["command"] = found.answer;
        context.print_json(facts);
        return found.serving ? ExitCode::ok : ExitCode::failed;
    }
    context.print(
        fmt::format("orchestrator: {}",
                    styled(found.message, found.serving ? Style::good : Style::bad, context.color())));
    if (!found.advice.empty()) context.print("              " + found.advice);
    std::string workers;
    for (const auto& [state, count] : facts["workers"].items()) {
        workers += (workers.empty() ? "" : ", ") + cell_text(count) + " " + state;
    }
    context.print("workers:      " + (workers.empty() ? "none" : workers));
    context.print("database:     " + connection.description());
    print_orchestrators(context, facts["orchestrators"], found.serving);
    print_lanes(context, facts["lanes"]);
    print_counts(context, facts["counts"]);
    return found.serving ? ExitCode::ok : ExitCode::failed;
}

}  // namespace

void add_health_commands(CLI::App& app, Context& context) {
    CLI::App* command = app.add_subcommand("health", "is an orchestrator serving, and how busy is it?");
    command->footer(
        "Exits with 0 when an orchestrator serves this database: its row says so, was refreshed within the "
        "last\n"
        "5 seconds, and its command endpoint answers within 2. Otherwise with 1, saying what is missing.\n"
        "Lists every orchestrator process: the active one, and standbys that were seen within 30 seconds.\n"
        "\n"
        "Examples:\n  tasker health\n  tasker health --json\n  until tasker health >/dev/null; do sleep 1; "
        "done");
    context.on_run(command, [&context] { return health(context); });
}

}  // namespace tasker::cli
