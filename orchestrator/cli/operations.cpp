#include "orchestrator/cli/operations.hpp"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "orchestrator/cli/answers.hpp"

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

/// What to do next, by the code of a refusal.
std::string advice_for(std::string_view code) {
    constexpr std::array<std::pair<std::string_view, const char*>, 9> advices = {{
        {"wrong_state", "see its state with `tasker task show TASK_ID --history`"},
        {"task_cancelled", "submit the task anew: `tasker task submit`"},
        {"attempt_moved_on", "somebody was faster: see `tasker dlq list` and `tasker task show TASK_ID`"},
        {"already_resolved", "see them with `tasker task show TASK_ID --json`"},
        {"no_late_result", "give the results yourself: --results JSON|@FILE|-"},
        {"dead_letter_closed", "the step itself may still be retried or resolved: see `tasker step --help`"},
        {"unknown_step", "`tasker task show TASK_ID` lists the steps of a task with their ids"},
        {"unknown_task", "see `tasker task list`"},
        {"unknown_dead_letter", "see `tasker dlq list --all`"},
    }};
    for (const auto& [known, advice] : advices) {
        if (known == code) return advice;
    }
    return "";
}

}  // namespace

const char* const kOperationExitCodes =
    "Works while no orchestrator runs; a running one is woken. Exits with 0 when done or so already, 1 when\n"
    "the state forbids it (nothing is changed then), 4 when it does not exist. --json prints outcome (done,\n"
    "unchanged, refused), code, message, task_id, task_state, workflow_step_id, state, attempts,\n"
    "changed_steps and ready_steps.\n";

std::shared_ptr<store::OperatorNote> add_note_options(CLI::App* command) {
    auto note = std::make_shared<store::OperatorNote>();
    note->actor = current_user();
    command->add_option("--reason", note->reason, "why; kept in the history")->type_name("TEXT");
    command->add_option("--actor", note->actor, "who; default: your user name")->type_name("TEXT");
    return note;
}

ExitCode report_operation(const Context& context, const store::Operation& operation) {
    using store::OperationOutcome;
    if (operation.outcome == OperationOutcome::not_found) {
        throw CommandError(ExitCode::not_found, operation.message, advice_for(operation.code));
    }
    const bool refused = operation.outcome == OperationOutcome::refused;
    if (context.json) {
        print_answer(context, operation.json);
    } else if (refused) {
        throw CommandError(ExitCode::failed, printable(operation.message), advice_for(operation.code));
    } else {
        context.print(printable(operation.message));
    }
    return refused ? ExitCode::failed : ExitCode::ok;
}

}  // namespace tasker::cli
