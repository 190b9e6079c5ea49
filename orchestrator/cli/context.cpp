#include "orchestrator/cli/context.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "orchestrator/options/load.hpp"
#include "orchestrator/store/migrator.hpp"
#include "orchestrator/util/check.hpp"

namespace tasker::cli {
namespace {

constexpr const char* kDefaultConfig = "config/orchestrator.yaml";

}  // namespace

const char* to_string(ExitCode code) {
    switch (code) {
        case ExitCode::ok:
            return "ok";
        case ExitCode::failed:
            return "failed";
        case ExitCode::usage:
            return "usage";
        case ExitCode::database_unreachable:
            return "database_unreachable";
        case ExitCode::not_found:
            return "not_found";
        case ExitCode::schema_mismatch:
            return "schema_mismatch";
        case ExitCode::interrupted:
            return "interrupted";
    }
    return "failed";
}

void Context::on_run(CLI::App* command, std::function<ExitCode()> action) {
    command->callback([this, action = std::move(action)] { action_ = action; });
}

ExitCode Context::run() {
    CHECK(action_ != nullptr, "a command without an action");
    try {
        return action_();
    } catch (const CommandError& error) {
        print_error(error.code(), error.what(), error.advice());
        return error.code();
    } catch (const store::DatabaseError& error) {
        if (error.connection_is_gone()) {
            const bool doubt = error.kind() == store::DbFailure::in_doubt;
            print_error(ExitCode::database_unreachable, error.what(),
                        doubt ? "what was asked may or may not have been done: look before you repeat it"
                              : "check that the server runs, then repeat the command");
            return ExitCode::database_unreachable;
        }
        print_error(ExitCode::failed, fmt::format("the database refused: {}", error.what()), "");
        return ExitCode::failed;
    } catch (const std::exception& error) {
        print_error(ExitCode::failed, error.what(), "");
        return ExitCode::failed;
    }
}

DatabaseChoice Context::database() const {
    if (auto choice = choose_database(database_option, std::filesystem::current_path())) return *choice;
    if (!settings().database.url.empty()) return {settings().database.url, "the configuration"};
    throw CommandError(ExitCode::database_unreachable, "no database is known",
                       "start one with `tasker dev`, or name it: --database URL or TASKER_DATABASE_URL "
                       "(postgresql://user@host:5432/name)");
}

store::Connection Context::connect() const {
    const DatabaseChoice choice = database();
    try {
        return store::Connection(choice.url, {.application_name = "tasker command line"});
    } catch (const store::CannotConnect& error) {
        throw CommandError(
            ExitCode::database_unreachable, error.what(),
            fmt::format("the URL came from {}; check that the server runs and the URL is right, or "
                        "start a private one with `tasker dev`",
                        choice.source));
    }
}

store::Connection Context::connect_checked() const {
    store::Connection connection = connect();
    const auto check = store::check_schema(connection);
    if (check.verdict != store::SchemaVerdict::ok)
        throw CommandError(ExitCode::schema_mismatch, check.message);
    return connection;
}

const options::Options& Context::settings() const {
    if (settings_) return *settings_;
    std::optional<std::filesystem::path> file;
    if (!config_option.empty()) {
        file = config_option;
    } else if (std::filesystem::exists(kDefaultConfig)) {
        file = kDefaultConfig;
    }
    auto loaded = options::load_options(file);
    if (!loaded) {
        std::string text = "the configuration is not usable:";
        for (const auto& problem : loaded.error()) text += "\n  " + yaml::to_string(problem);
        throw CommandError(ExitCode::usage, text,
                           "correct what is listed, or name another file with --config");
    }
    settings_ = std::move(loaded->options);
    return *settings_;
}

bool Context::is_terminal() const {
    return ::isatty(STDOUT_FILENO) == 1;
}

bool Context::color() const {
    // https://no-color.org: any non-empty value switches colour off.
    const char* no_color_variable = std::getenv("NO_COLOR");
    const char* terminal = std::getenv("TERM");
    return !json && !no_color && is_terminal() &&
           (no_color_variable == nullptr || *no_color_variable == '\0') &&
           (terminal == nullptr || std::string_view(terminal) != "dumb");
}

void Context::print_json(const Json& document) const {
    print(document.dump(2, ' ', false, Json::error_handler_t::replace));
}

void Context::print(std::string_view line) const {
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fputc('\n', stdout);
    std::fflush(stdout);
}

void Context::remark(std::string_view line) const {
    if (!json) std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
}

void Context::print_error(ExitCode code, const std::string& message, const std::string& advice) const {
    if (json) {
        Json error = {{"code", to_string(code)}, {"message", message}};
        if (!advice.empty()) error["advice"] = advice;
        const std::string text = Json{{"error", error}}.dump(2, ' ', false, Json::error_handler_t::replace);
        std::fprintf(stderr, "%s\n", text.c_str());
        return;
    }
    std::fprintf(stderr, "tasker: %s\n", message.c_str());
    if (!advice.empty()) std::fprintf(stderr, "        %s\n", advice.c_str());
}

}  // namespace tasker::cli
