#include "orchestrator/cli/database_choice.hpp"

#include <cstdlib>

#include "orchestrator/cli/dev_state.hpp"

namespace tasker::cli {

std::optional<DatabaseChoice> choose_database(const std::string& option, const std::filesystem::path& start) {
    if (!option.empty()) return DatabaseChoice{option, "--database"};
    if (const char* url = std::getenv("TASKER_DATABASE_URL"); url != nullptr && *url != '\0') {
        return DatabaseChoice{url, "TASKER_DATABASE_URL"};
    }
    if (const auto directory = find_running_dev(start)) {
        // It may have stopped since it was found.
        if (const auto state = read_running_dev(*directory); state && !state->database_url.empty()) {
            return DatabaseChoice{state->database_url, "the tasker dev in " + directory->string()};
        }
    }
    return std::nullopt;
}

}  // namespace tasker::cli
