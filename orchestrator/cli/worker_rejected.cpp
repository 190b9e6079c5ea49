#include "orchestrator/cli/worker_rejected.hpp"

#include <fmt/format.h>

#include <memory>

#include "orchestrator/api/query.hpp"
#include "orchestrator/cli/show/answers.hpp"

namespace tasker::cli {
namespace {

/// The worker's name, where the list of workers still has its session.
std::string sender_text(const Json& row) {
    const std::string session = cell_text(row["session"]);
    const std::string worker = cell_text(row["worker_id"]);
    return worker.empty() ? session : fmt::format("{} ({})", worker, session);
}

ExitCode rejected(const Context& context, int limit) {
    auto connection = context.connect_checked();
    const std::string answer = api::rejected_json(connection, limit);
    if (context.json) {
        print_answer(context, answer);
        return ExitCode::ok;
    }
    const Json rows = parse_answer(answer);
    Table table({{"TIME"}, {"TOPIC"}, {"CODE"}, {"REASON"}, {"FROM"}, {"BYTES", Align::right}, {"MESSAGE"}});
    for (const auto& row : rows) {
        const bool text = row["raw_hex"].is_null();
        table.add({{cell_time(row["received_at"]), Style::dim},
                   cell_text(row["topic"]),
                   {cell_text(row["code"]), Style::bad},
                   cell_text(row["reason"]),
                   sender_text(row),
                   cell_text(row["bytes"]),
                   cell_of_list(context, (text ? "" : "hex ") + cell_text(row[text ? "raw_text" : "raw_hex"]),
                                200)});
    }
    print_table(context, table, "no message was rejected");
    if (rows.size() == static_cast<std::size_t>(limit))
        context.print(fmt::format("the newest {}; --limit shows more", limit));
    return ExitCode::ok;
}

}  // namespace

void add_worker_rejected(CLI::App& group, Context& context) {
    auto limit = std::make_shared<int>(50);
    CLI::App* command =
        group.add_subcommand("rejected", "messages that the orchestrator refused, the newest first");
    command->add_option("--limit", *limit, "how many (default 50)")
        ->type_name("N")
        ->check(CLI::Range(1, 10'000).description(""));
    command->footer(
        "A message stands here when it cannot be read, breaks a rule of the protocol, or is over a limit;\n"
        "the log has the same. Of a peer that floods the first ones stand here, the others are counted.\n"
        "--json prints id, received_at, topic, code, reason, session, worker_id, bytes, and the message\n"
        "itself: raw_text where it is UTF-8, else raw_hex; is_cut when it is longer than 64 KiB.\n"
        "\n"
        "Examples:\n  tasker worker rejected\n  tasker worker rejected --limit 5 --json");
    context.on_run(command, [&context, limit] { return rejected(context, *limit); });
}

}  // namespace tasker::cli
