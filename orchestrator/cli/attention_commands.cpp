// tasker attention
#include <fmt/format.h>

#include <array>
#include <memory>

#include "orchestrator/api/query.hpp"
#include "orchestrator/cli/command_groups.hpp"
#include "orchestrator/cli/show/answers.hpp"

namespace tasker::cli {
namespace {

struct AttentionOptions {
    int limit = 10;
    double stuck_seconds = 600;
};

/// What one item is, why it needs somebody, and the command that helps.
struct Item {
    std::string what;
    std::string reason;
    std::string command;
};

std::string text_of(const Json& item, const char* key) {
    const auto found = item.find(key);
    return found == item.end() ? "" : cell_text(*found);
}

Item orchestrator_item(const Json& item) {
    const bool never = item["state"].is_null();
    return {"tasks are open",
            never ? "no orchestrator has ever served this database" : "no orchestrator serves",
            "tasker health"};
}

Item failed_task(const Json& item) {
    const std::string reason = text_of(item, "reason");
    const std::string step = text_of(item, "step_name");
    return {
        fmt::format("task {} ({}/{}:{})", text_of(item, "task_id"), text_of(item, "namespace"),
                    text_of(item, "name"), text_of(item, "version")),
        step.empty() ? "ended in error" : fmt::format("step {}: {}", step, reason.empty() ? "error" : reason),
        fmt::format("tasker task show {}", text_of(item, "task_id"))};
}

Item dead_letter(const Json& item) {
    const std::string message = text_of(item, "message");
    const bool late = item["has_late_result"].get<bool>();
    return {
        fmt::format("dead letter {} (step {} {} of task {})", text_of(item, "dead_letter_id"),
                    text_of(item, "workflow_step_id"), text_of(item, "step_name"), text_of(item, "task_id")),
        text_of(item, "reason") + (message.empty() ? "" : ": " + message) +
            (late ? "; a late success is known" : ""),
        fmt::format("tasker dlq show {}", text_of(item, "dead_letter_id"))};
}

Item unserved_handler(const Json& item) {
    std::string similar;
    if (item["similar_handlers"].is_array()) {
        for (const auto& name : item["similar_handlers"])
            similar += (similar.empty() ? "" : ", ") + cell_text(name);
    }
    return {fmt::format("{} (namespace {})", text_of(item, "handler_class"), text_of(item, "namespace")),
            fmt::format("no worker serves it; {} wait{}{}",
                        count_text(item["steps"].get<std::int64_t>(), "ready step", "ready steps"),
                        item["steps"] == 1 ? "s" : "",
                        similar.empty() ? "" : fmt::format("; workers serve {}", similar)),
            "tasker worker list"};
}

Item discrepancy(const Json& item) {
    return {fmt::format("batch {} ({})", text_of(item, "batch_id"), text_of(item, "handler_class")),
            text_of(item, "reason"), fmt::format("tasker batch show {}", text_of(item, "batch_id"))};
}

Item stuck_task(const Json& item) {
    const std::string reason = text_of(item, "reason");
    return {fmt::format("task {}", text_of(item, "task_id")),
            reason.empty() ? "nothing moves it, for no known cause"
                           : fmt::format("nothing moves it ({})", reason),
            fmt::format("tasker task explain {}", text_of(item, "task_id"))};
}

struct Kind {
    const char* key;
    const char* title;
    const char* list;  // shows all of them; "" where no list does
    Item (*describe)(const Json&);
};
constexpr std::array<Kind, 6> kKinds = {{
    {"orchestrator", "orchestrator", "", orchestrator_item},
    {"unserved_handlers", "handlers without a worker", "", unserved_handler},
    {"dead_letters", "dead letters", "tasker dlq list", dead_letter},
    {"failed_tasks", "failed tasks", "tasker task list --state error", failed_task},
    {"discrepancies", "discrepancies", "tasker batch discrepancies", discrepancy},
    {"stuck_tasks", "stuck tasks", "", stuck_task},
}};

/// How long ago an item began; the database's clock made `since`, ours may differ a little.
std::string age_of(const Json& item) {
    const auto& age = item["age_seconds"];
    return age.is_number() ? duration_text(age.get<double>()) : "";
}

void print_kind(const Context& context, const Kind& kind, const Json& found) {
    const auto& items = found["items"];
    const auto total = found["total"].get<std::int64_t>();
    context.print("\n" + styled(fmt::format("{} {}", total, kind.title), Style::bold, context.color()));
    Table table({{"WHAT"}, {"WHY"}, {"FOR", Align::right}, {"WHAT HELPS"}});
    for (const auto& item : items) {
        const Item text = kind.describe(item);
        table.add(
            {text.what, {cell_of_list(context, text.reason, 200), Style::bad}, age_of(item), text.command});
    }
    print_table(context, table, "");
    const auto more = total - static_cast<std::int64_t>(items.size());
    if (more <= 0) return;
    const std::string where =
        *kind.list == '\0' ? "--limit shows them" : fmt::format("`{}` lists them", kind.list);
    context.print(fmt::format("and {} more; {}", more, where));
}

ExitCode attention(const Context& context, const AttentionOptions& options) {
    auto connection = context.connect_checked();
    const Json found = parse_answer(api::attention_json(connection, options.limit, options.stuck_seconds));
    std::int64_t total = 0;
    for (const Kind& kind : kKinds) total += found[kind.key]["total"].get<std::int64_t>();
    const ExitCode code = total == 0 ? ExitCode::ok : ExitCode::failed;
    if (context.json) {
        Json answer = found;
        for (const Kind& kind : kKinds) {
            for (auto& item : answer[kind.key]["items"]) item["command"] = kind.describe(item).command;
        }
        context.print_json(answer);
        return code;
    }
    if (total == 0) {
        context.print("nothing needs you");
        return code;
    }
    context.print(count_text(total, "thing needs you", "things need you"));
    for (const Kind& kind : kKinds) {
        if (found[kind.key]["total"] != 0) print_kind(context, kind, found[kind.key]);
    }
    return code;
}

}  // namespace

void add_attention_commands(CLI::App& app, Context& context) {
    auto options = std::make_shared<AttentionOptions>();
    CLI::App* command =
        app.add_subcommand("attention", "what needs a person now, and the command that helps");
    command->add_option("--limit", options->limit, "how many of each kind (default 10)")
        ->type_name("N")
        ->check(CLI::Range(1, 10'000).description(""));
    command
        ->add_option("--stuck-after", options->stuck_seconds,
                     "a task without movement for so long and without a cause is stuck (default 600)")
        ->type_name("SECONDS")
        ->check(CLI::Range(0.0, 31'536'000.0).description(""));
    command->footer(
        "Lists handler classes that no worker serves though steps of them are ready, dead letters, failed\n"
        "tasks, batches whose reports disagree for no known reason, tasks that do not move, and whether an\n"
        "orchestrator serves. A failed task whose step is a dead letter is listed there only.\n"
        "Exits with 0 when nothing needs you, with 1 when something does.\n"
        "--json prints for each kind total and items[], each with since, age_seconds and command.\n"
        "\n"
        "Examples:\n  tasker attention\n  tasker attention --json --limit 100\n"
        "  tasker attention >report || mail -s 'tasker' ops@example.com <report");
    context.on_run(command, [&context, options] { return attention(context, *options); });
}

}  // namespace tasker::cli
