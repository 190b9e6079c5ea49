#include "orchestrator/cli/database_choice.hpp"

#include <fmt/format.h>

#include <cstdlib>

#include "orchestrator/cli/dev/dev_places.hpp"
#include "orchestrator/cli/dev/dev_state.hpp"

namespace tasker::cli {

DatabaseChoice choose_database(const std::string& option, const std::filesystem::path& start) {
    if (!option.empty()) return {option, "--database"};
    const char* variable = std::getenv("TASKER_DATABASE_URL");
    DatabaseChoice named;
    if (variable != nullptr && *variable != '\0') {
        named = {variable, "TASKER_DATABASE_URL"};
        named.stopped = is_url_of_stopped_dev(named.url);
        if (!named.stopped) return named;
    }
    const DevSearch search = find_running_dev(start);
    // It may have stopped since it was found.
    const auto state = search.directory ? read_running_dev(*search.directory) : std::nullopt;
    if (state && !state->database_url.empty()) {
        const std::string source = "the tasker dev in " + search.directory->string();
        if (!named.stopped) return {state->database_url, source};
        return {state->database_url, source,
                "note: TASKER_DATABASE_URL belongs to a tasker dev that has stopped; using " + source};
    }
    for (const std::string& reason : search.passed_over)
        named.remark += fmt::format("{}note: {}, and is not used", named.remark.empty() ? "" : "\n", reason);
    return named;
}

}  // namespace tasker::cli
