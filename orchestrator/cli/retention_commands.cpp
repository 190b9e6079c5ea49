// tasker db retention
#include "orchestrator/cli/retention_commands.hpp"

#include <fmt/format.h>

#include <memory>
#include <thread>

#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/store/retention_store.hpp"

namespace tasker::cli {
namespace {

Json action_json(const ports::RetentionAction& action) {
    return {{"what", action.what},           {"subject", action.subject}, {"low", action.low},
            {"high", action.high},           {"rows", action.rows},       {"rows_kept", action.rows_kept},
            {"took_ms", action.took.count()}};
}

std::string action_text(const ports::RetentionAction& action) {
    const auto took = fmt::format("{} ms", action.took.count());
    if (action.what == "postponed") return "postponed: " + action.subject;
    if (action.what == "rows_deleted")
        return fmt::format("{} deleted from {} in {}", count_text(action.rows, "row", "rows"), action.subject,
                           took);
    if (action.what.starts_with("range_"))
        return fmt::format("{} {} to {}: {} {}, {} kept in {}", action.subject, action.low, action.high - 1,
                           action.rows, action.what == "range_kept" ? "dropped yet" : "dropped",
                           action.rows_kept, took);
    return fmt::format("{}: {}, bound {} in {}", action.subject, action.what, action.high, took);
}

Json status_json(const store::PartitionStatus& one) {
    Json row = {{"axis", one.axis}};
    row["low"] = one.low ? Json(*one.low) : Json();
    row["high"] = one.high ? Json(*one.high) : Json();
    row["rows"] = one.rows;
    row["oldest_at"] = one.oldest_at.empty() ? Json() : Json(one.oldest_at);
    row["bytes"] = one.bytes;
    return row;
}

std::string status_table(const Context& context, const std::vector<store::PartitionStatus>& partitions) {
    Table table({{"cut by"},
                 {"from"},
                 {"to below"},
                 {"rows (about)", Align::right},
                 {"size", Align::right},
                 {"oldest row"}});
    for (const auto& one : partitions) {
        table.add({one.axis, one.low ? std::to_string(*one.low) : "the beginning",
                   one.high ? std::to_string(*one.high) : "open", std::to_string(one.rows),
                   fmt::format("{:.1f} MB", static_cast<double>(one.bytes) / 1e6),
                   one.oldest_at.empty() ? "-" : cell_time(Json(one.oldest_at))});
    }
    return table.text(context.color());
}

Json run_pass(const Context& context, const options::Retention& retention) {
    Json actions = Json::array();
    ports::RetentionSettings settings;
    settings.days = retention.days;
    settings.partition_rows = retention.partition_rows;
    ports::RetentionWatch watch;
    watch.done = [&](const ports::RetentionAction& action) {
        actions.push_back(action_json(action));
        if (!context.json) context.print(action_text(action));
    };
    // The pause between two tries for a lock that somebody holds.
    watch.pause = [](std::chrono::milliseconds time) {
        std::this_thread::sleep_for(time);
        return true;
    };
    try {
        store::RetentionStore(context.address(context.database().url)).run_pass(settings, watch);
    } catch (const ports::DatabaseError& error) {
        throw CommandError(ExitCode::failed, fmt::format("retention has stopped: {}", error.what()),
                           "what it did stays done; check that the server runs and that the role owns the "
                           "tables, then repeat the command");
    }
    return actions;
}

ExitCode retention(const Context& context, bool run) {
    auto connection = context.connect_checked();
    const auto& settings = context.settings().retention;
    const Json actions = run ? run_pass(context, settings) : Json::array();
    const auto partitions = store::partition_status(connection);
    if (context.json) {
        Json list = Json::array();
        for (const auto& one : partitions) list.push_back(status_json(one));
        context.print_json({{"days", settings.days},
                            {"partition_rows", settings.partition_rows},
                            {"actions", actions},
                            {"partitions", list}});
        return ExitCode::ok;
    }
    if (run && actions.empty()) context.print("nothing to do");
    context.print(settings.days == 0 ? std::string("ended tasks are kept for ever (retention.days 0)")
                                     : fmt::format("ended tasks are kept for {} (retention.days)",
                                                   count_text(settings.days, "day", "days")));
    context.print(status_table(context, partitions));
    return ExitCode::ok;
}

}  // namespace

void add_retention_command(CLI::App& db_group, Context& context) {
    CLI::App* command =
        db_group.add_subcommand("retention", "show the partitions of the running tables, or look after them");
    auto run = std::make_shared<bool>(false);
    command->add_flag("--run", *run, "make and drop partitions now, as the orchestrator does by itself");
    command->footer(
        "Tasks and what belongs to them are cut into partitions by task_id, batches by batch_id. The\n"
        "orchestrator makes new partitions in time and drops those whose tasks have all ended longer than\n"
        "retention.days ago. Where few tasks of a partition must stay (not ended, or with an open dead\n"
        "letter), they are moved to a small one of their own.\n"
        "\n"
        "--run does one pass with the settings of --config. It waits for nobody: what somebody has locked "
        "is\n"
        "reported as postponed.\n"
        "\n"
        "Examples:\n  tasker db retention\n  tasker db retention --run\n  tasker db retention --json");
    context.on_run(command, [&context, run] { return retention(context, *run); });
}

}  // namespace tasker::cli
