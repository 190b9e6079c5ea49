#include "orchestrator/cli/show_config.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "orchestrator/options/database_url.hpp"
#include "orchestrator/options/shown.hpp"

namespace tasker::cli {
namespace {

/// As Context::database(), but that there is none is an answer here.
DatabaseChoice chosen_database(const Context& context) {
    const DatabaseChoice choice = choose_database(context.database_option, std::filesystem::current_path());
    if (!choice.url.empty() && !choice.stopped) return choice;
    const std::string& url = context.settings().database.url;
    if (!url.empty() && !choice.stopped) return {url, "database.url below"};
    return {};
}

}  // namespace

void add_show_config(CLI::App& app) {
    app.add_flag_callback(
        "--show-config", [] { throw ShowConfigAsked(); },
        "print the database and every setting in force, and where each came from");
}

ExitCode show_config(const Context& context) {
    const DatabaseChoice database = chosen_database(context);
    const std::string url = options::url_without_secrets(database.url);
    if (context.json) {
        Json answer = {{"database", nullptr}};
        if (!url.empty()) answer["database"] = {{"url", url}, {"from", database.source}};
        answer.update(options::shown_settings_json(context.loaded_settings()));
        context.print_json(answer);
        return ExitCode::ok;
    }
    context.print(url.empty()
                      ? "# commands know no database: name one with --database URL or TASKER_DATABASE_URL"
                      : fmt::format("# commands use {}, from {}", url, database.source));
    std::string settings = options::shown_settings(context.loaded_settings());
    settings.pop_back();
    context.print(settings);
    return ExitCode::ok;
}

}  // namespace tasker::cli
