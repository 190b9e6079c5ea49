#include "orchestrator/cli/operations.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>

#include "orchestrator/cli/numbers.hpp"
#include "orchestrator/cli/show/answers.hpp"

namespace tasker::cli {
namespace {

std::string current_user() {
    std::array<char, 4096> buffer{};
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
        return entry.pw_name;
    }
    return "uid " + std::to_string(::geteuid());
}

std::string text_of(const Json& row, const char* key, const char* otherwise) {
    const auto found = row.find(key);
    const std::string text = found == row.end() ? "" : cell_text(*found);
    return text.empty() ? otherwise : text;
}

/// Where a step in error can still be moved: the two commands; "" where both would be refused.
std::string ways_on(const Json& row) {
    if (text_of(row, "state", "") != "error" || text_of(row, "task_state", "") == "cancelled") return "";
    return fmt::format(
        "step {0} is still in error: `tasker step retry {0}`, or `tasker step resolve {0} --results "
        "'{{}}'` with your results instead of {{}}",
        text_of(row, "workflow_step_id", "STEP_ID"));
}

/// What to do next, by the code of a refusal. Nothing that would be refused as well.
std::string advice_for(const api::Operation& operation) {
    const Json row = operation.json.empty() ? Json::object() : parse_answer(operation.json);
    const std::string task = "tasker task show " + text_of(row, "task_id", "TASK_ID");
    const auto& code = operation.code;
    if (code == "dead_letter_closed") {
        const std::string ways = ways_on(row);
        if (!ways.empty()) return ways;
        return fmt::format("nothing is left to decide: its step is {}, its task {}; see `{}`",
                           text_of(row, "state", "gone"), text_of(row, "task_state", "gone"), task);
    }
    if (code == "no_late_result") {
        const std::string ways = ways_on(row);
        return ways.empty() ? fmt::format("see its state with `{} --history`", task) : ways;
    }
    const std::array<std::pair<std::string_view, std::string>, 9> advices = {{
        {"wrong_state", fmt::format("see its state with `{} --history`", task)},
        {"task_cancelled", "submit the task anew if it is still wanted"},
        {"attempt_moved_on", fmt::format("somebody was faster: see `tasker dlq list` and `{}`", task)},
        {"already_resolved", fmt::format("see them with `{} --json`", task)},
        {"unknown_step", "`tasker task show TASK_ID` lists the steps of a task with their ids"},
        {"unknown_task", "see `tasker task list`"},
        {"no_discrepancy", "see `tasker batch discrepancies`"},
        {"unknown_batch", "see `tasker batch list`"},
        {"unknown_dead_letter", "see `tasker dlq list --all`"},
    }};
    for (const auto& [known, advice] : advices) {
        if (known == code) return advice;
    }
    return "";
}

ExitCode code_of(const api::Operation& operation) {
    switch (operation.outcome) {
        case api::OperationOutcome::done:
        case api::OperationOutcome::unchanged:
            return ExitCode::ok;
        case api::OperationOutcome::refused:
            return ExitCode::failed;
        case api::OperationOutcome::not_found:
            return ExitCode::not_found;
    }
    return ExitCode::failed;
}

}  // namespace

const char* const kOperationExitCodes =
    "Works while no orchestrator runs; a running one is woken. Exits with 0 when done or so already, 1 when\n"
    "the state forbids it (nothing is changed then), 4 when it does not exist. --json prints outcome (done,\n"
    "unchanged, refused), code, message, task_id, task_state, workflow_step_id, state, attempts,\n"
    "changed_steps and ready_steps.\n";

const char* const kSeveralIds =
    "Of several ids each is an operation of its own, in this order: one that is refused keeps none of the\n"
    "others from being done. The code is that of the first of them; --json prints a list then.\n";

std::shared_ptr<api::OperatorNote> add_note_options(CLI::App* command) {
    auto note = std::make_shared<api::OperatorNote>();
    note->actor = current_user();
    command->add_option("--reason", note->reason, "why; kept in the history")->type_name("TEXT");
    command->add_option("--actor", note->actor, "who; default: your user name")->type_name("TEXT");
    return note;
}

std::shared_ptr<Ids> add_ids(CLI::App* command, const std::string& description) {
    auto ids = std::make_shared<Ids>();
    command->add_option("ids", ids->words, description + "; several, or - to read them from standard input")
        ->required()
        ->type_name("ID…|-");
    return ids;
}

void add_dry_run(CLI::App* command, const std::shared_ptr<api::OperatorNote>& note) {
    command->add_flag("--dry-run", note->dry_run, "show what it would do, and change nothing");
}

std::vector<std::int64_t> Ids::read() const {
    std::vector<std::int64_t> ids;
    const auto add = [&ids](const std::string& word) {
        const std::string problem = whole_number_problem(word);
        if (!problem.empty())
            throw CommandError(ExitCode::usage, problem, "ids are numbers, as the lists show them");
        ids.push_back(std::strtoll(word.c_str(), nullptr, 10));
    };
    for (const auto& word : words) {
        if (word != "-") {
            add(word);
            continue;
        }
        for (std::string line; std::cin >> line;) add(line);
        if (std::cin.bad()) throw CommandError(ExitCode::failed, "standard input cannot be read");
    }
    if (ids.empty()) throw CommandError(ExitCode::usage, "standard input holds no id");
    return ids;
}

ExitCode operate_on(const Context& context, const Ids& ids, const api::OperatorNote& note, Operate operate) {
    const auto chosen = ids.read();
    auto connection = context.connect_checked();
    ExitCode code = ExitCode::ok;
    if (ids.single()) {
        code = report_operation(context, operate(connection, chosen.front(), note));
    } else if (context.json) {
        std::string rows;
        try {
            for (const auto id : chosen) {
                const auto operation = operate(connection, id, note);
                rows += (rows.empty() ? "" : ",") + operation.json;
                if (code == ExitCode::ok) code = code_of(operation);
            }
        } catch (...) {
            // What is done already is not to be lost with the connection.
            print_answer(context, "[" + rows + "]");
            throw;
        }
        print_answer(context, "[" + rows + "]");
    } else {
        for (const auto id : chosen) {
            const auto operation = operate(connection, id, note);
            const ExitCode own = code_of(operation);
            if (own == ExitCode::ok) {
                context.print(operation.message);
            } else {
                context.print_error(own, operation.message, advice_for(operation));
            }
            if (code == ExitCode::ok) code = own;
        }
    }
    if (note.dry_run) context.remark("nothing was changed: --dry-run");
    return code;
}

ExitCode report_operation(const Context& context, const api::Operation& operation) {
    using api::OperationOutcome;
    if (operation.outcome == OperationOutcome::not_found) {
        throw CommandError(ExitCode::not_found, operation.message, advice_for(operation));
    }
    const bool refused = operation.outcome == OperationOutcome::refused;
    if (context.json) {
        print_answer(context, operation.json);
    } else if (refused) {
        throw CommandError(ExitCode::failed, printable(operation.message), advice_for(operation));
    } else {
        context.print(printable(operation.message));
    }
    return refused ? ExitCode::failed : ExitCode::ok;
}

}  // namespace tasker::cli
