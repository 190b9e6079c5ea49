#include "orchestrator/cli/show/attempts.hpp"

#include <fmt/format.h>

#include "orchestrator/cli/show/answers.hpp"

namespace tasker::cli {
namespace {

std::string member(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found == object.end() ? "" : cell_text(*found);
}

/// How it ended: "failed", "orphaned (session_lost)".
Cell status_cell(const Json& attempt) {
    Cell cell = state_cell(attempt["status"]);
    const std::string reason = cell_text(attempt["reason"]);
    if (!reason.empty()) cell.text += fmt::format(" ({})", reason);
    if (cell.text.starts_with("orphaned")) cell.style = Style::bad;
    return cell;
}

std::string span_text(const Json& value, double per_second) {
    return value.is_number() ? duration_text(value.get<double>() / per_second) : "";
}

}  // namespace

std::string error_text(const Json& error) {
    if (!error.is_object()) return cell_text(error);
    const std::string type = member(error, "error_type");
    const std::string message = member(error, "message");
    if (message.empty()) return type.empty() ? cell_text(error) : type;
    // The SDKs name the type of an unexpected error in its message.
    return type.empty() || message.starts_with(type + ":") ? message : fmt::format("{}: {}", type, message);
}

void print_attempts(const Context& context, const Json& attempts, std::string_view heading) {
    Table table({{"ATTEMPT", Align::right},
                 {"WORKER"},
                 {"STARTED"},
                 {"DURATION", Align::right},
                 {"ENDED AS"},
                 {"PAUSE AFTER", Align::right},
                 {"ERROR"}});
    for (const auto& attempt : attempts) {
        const auto& start = attempt["started_at"].is_null() ? attempt["sent_at"] : attempt["started_at"];
        table.add({cell_text(attempt["attempt"]),
                   cell_text(attempt["worker_id"]),
                   {cell_time(start), Style::dim},
                   span_text(attempt["duration_ms"], 1000),
                   status_cell(attempt),
                   span_text(attempt["pause_seconds"], 1),
                   shortened(error_text(attempt["error"]), 400)});
    }
    context.print("\n" + styled(printable(heading), Style::bold, context.color()));
    print_table(context, table, "no attempt has been sent to a worker");
}

void print_error_in_full(const Context& context, const Json& error) {
    context.print(styled(printable(error_text(error)), Style::bad, context.color()));
    if (!error.is_object()) return;
    for (const auto& [key, value] : error.items()) {
        if (key == "error_type" || key == "message" || key == "backtrace") continue;
        if (!value.is_null()) context.print(printable(fmt::format("  {}: {}", key, cell_text(value))));
    }
    const auto backtrace = error.find("backtrace");
    if (backtrace != error.end() && backtrace->is_array()) {
        for (const auto& line : *backtrace) context.print("    " + printable_lines(cell_text(line), false));
    } else if (backtrace != error.end() && !backtrace->is_null()) {
        context.print(printable_lines(cell_text(*backtrace), false));
    }
}

}  // namespace tasker::cli
