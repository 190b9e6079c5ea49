// tasker db check; tasker db retention is in retention_commands.cpp
#include <fmt/format.h>

#include <memory>

#include "orchestrator/api/checks/checks.hpp"
#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/retention_commands.hpp"
#include "orchestrator/cli/show/answers.hpp"

namespace tasker::cli {
namespace {

struct CheckOptions {
    int limit = 20;
    double grace_seconds = 20;
    bool verbose = false;
};

Json result_json(const api::CheckResult& result) {
    Json violations = Json::array();
    for (const auto& violation : result.violations) {
        Json one = {{"object", violation.object}, {"id", violation.id}};
        one["task_id"] = violation.task_id ? Json(*violation.task_id) : Json();
        one["message"] = violation.message;
        violations.push_back(std::move(one));
    }
    return {{"check", result.check.name},      {"invariant", result.check.invariant},
            {"promise", result.check.promise}, {"violations_total", result.total},
            {"violations", violations},        {"took_ms", result.took.count()}};
}

void print_result(const Context& context, const api::CheckResult& result) {
    context.print(fmt::format("{}  {} ({}): {}", styled("✘", Style::bad, context.color()), result.check.name,
                              result.check.invariant, result.check.promise));
    for (const auto& violation : result.violations) {
        const bool names_task = violation.task_id && violation.object != "task";
        context.print(fmt::format("     {} {}{}: {}", violation.object, violation.id,
                                  names_task ? fmt::format(" of task {}", *violation.task_id) : "",
                                  printable(violation.message)));
    }
    const auto listed = static_cast<std::int64_t>(result.violations.size());
    if (result.total > listed)
        context.print(fmt::format("     … and {} more (--limit shows them)", result.total - listed));
}

ExitCode check(const Context& context, const CheckOptions& options) {
    auto connection = context.connect_checked();
    api::CheckSettings settings;
    settings.violations_max = options.limit;
    settings.reconcile_grace =
        std::chrono::milliseconds(static_cast<std::int64_t>(options.grace_seconds * 1000));
    const auto results = api::run_checks(connection, settings);
    std::int64_t total = 0;
    for (const auto& result : results) total += result.total;
    if (context.json) {
        Json list = Json::array();
        for (const auto& result : results) list.push_back(result_json(result));
        context.print_json({{"ok", total == 0}, {"violations_total", total}, {"checks", list}});
        return total == 0 ? ExitCode::ok : ExitCode::failed;
    }
    for (const auto& result : results) {
        if (result.total > 0) {
            print_result(context, result);
        } else if (options.verbose) {
            context.print(fmt::format("{}  {} ({}): {}  {} ms", styled("✔", Style::good, context.color()),
                                      result.check.name, result.check.invariant, result.check.promise,
                                      result.took.count()));
        }
    }
    context.print(
        total == 0 ? fmt::format("{} checks, nothing found in {}", results.size(), connection.description())
                   : fmt::format("{} checks, {} in {}", results.size(),
                                 count_text(total, "violation", "violations"), connection.description()));
    return total == 0 ? ExitCode::ok : ExitCode::failed;
}

}  // namespace

void add_db_commands(CLI::App& app, Context& context) {
    CLI::App* group = app.add_subcommand("db", "look after the database");
    group->require_subcommand(1);
    auto options = std::make_shared<CheckOptions>();
    CLI::App* command = group->add_subcommand("check", "verify every reference and every invariant");
    command->add_option("--limit", options->limit, "violations listed per check (default 20)")
        ->type_name("N")
        ->check(CLI::Range(1, 100'000).description(""));
    command
        ->add_option("--grace", options->grace_seconds,
                     "how long an ended batch may wait for its reconciliation while an orchestrator serves "
                     "(default 20)")
        ->type_name("SECONDS")
        ->check(CLI::Range(0.0, 86'400.0).description(""));
    command->add_flag("--verbose", options->verbose, "also list the checks that found nothing");
    command->footer(
        "Only reads, in one snapshot, and may run at any time; on a large database it reads every table. "
        "Exits\n"
        "with 0 when nothing is wrong, with 1 when something is: each violation is shown with its ids, what "
        "was\n"
        "found and what was expected.\n"
        "\n"
        "Examples:\n  tasker db check\n  tasker db check --verbose\n  tasker db check --json");
    context.on_run(command, [&context, options] { return check(context, *options); });
    add_retention_command(*group, context);
}

}  // namespace tasker::cli
