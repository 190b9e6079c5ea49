#include "orchestrator/cli/context.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

#include "orchestrator/cli/settings_file.hpp"
#include "orchestrator/cli/show/table.hpp"
#include "orchestrator/options/database_url.hpp"
#include "orchestrator/postgres/migrator.hpp"
#include "orchestrator/util/check.hpp"

namespace tasker::cli {
namespace {

// A lock that somebody holds in a console is an answer, too.
constexpr std::chrono::seconds kLockTimeout{10};

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
    return run(action_);
}

ExitCode Context::run(const std::function<ExitCode()>& action) {
    try {
        return action();
    } catch (const CommandError& error) {
        print_error(error.code(), error.what(), error.advice());
        return error.code();
    } catch (const postgres::DatabaseError& error) {
        if (error.connection_is_gone()) {
            const bool doubt = error.kind() == postgres::DbFailure::in_doubt;
            print_error(ExitCode::database_unreachable, error.what(),
                        doubt ? "what was asked may or may not have been done: look before you repeat it"
                              : "check that the server runs, then repeat the command");
            return ExitCode::database_unreachable;
        }
        print_refusal(error);
        return ExitCode::failed;
    } catch (const std::exception& error) {
        print_error(ExitCode::failed, error.what(), "");
        return ExitCode::failed;
    }
}

void Context::print_refusal(const postgres::DatabaseError& error) const {
    if (error.kind() == postgres::DbFailure::read_only) {
        print_error(
            ExitCode::failed, fmt::format("the database is read-only: {}", error.what()),
            read_only_.empty() ? "it has become read-only meanwhile: is it a replica now?" : read_only_);
        return;
    }
    if (error.kind() == postgres::DbFailure::locked) {
        print_error(
            ExitCode::failed, fmt::format("somebody holds a lock that this needs: {}", error.what()),
            "end the transaction that holds it (state 'idle in transaction' in pg_stat_activity), then "
            "repeat the command");
        return;
    }
    const std::string state = error.sqlstate().empty() ? "" : fmt::format(" (SQLSTATE {})", error.sqlstate());
    print_error(ExitCode::failed, fmt::format("the database refused: {}{}", error.what(), state), "");
}

DatabaseChoice Context::database() const {
    DatabaseChoice choice = choose_database(database_option, std::filesystem::current_path());
    if (const auto fault = options::database_url_fault(choice.url); fault && !choice.url.empty()) {
        throw CommandError(ExitCode::usage, fmt::format("{}: the value {}", choice.source, *fault));
    }
    if (!choice.remark.empty()) remark(choice.remark);
    if (choice.stopped) {
        throw CommandError(
            ExitCode::database_unreachable,
            "TASKER_DATABASE_URL belongs to a tasker dev that has stopped, and none runs here or above",
            "start `tasker dev` again; commands and workers find it without the variables, so also: unset "
            "TASKER_DATABASE_URL TASKER_STEPS_ENDPOINT TASKER_RESULTS_ENDPOINT TASKER_COMMAND_ENDPOINT");
    }
    if (!choice.url.empty()) return choice;
    if (!settings().database.url.empty()) return {settings().database.url, "the configuration"};
    throw CommandError(ExitCode::database_unreachable, "no database is known",
                       "start one with `tasker dev`, or name it: --database URL or TASKER_DATABASE_URL "
                       "(postgresql://user@host:5432/name)");
}

postgres::Address Context::address(const std::string& database_url) const {
    options::Database defaults;
    const options::Database* chosen = &defaults;
    try {
        chosen = &settings().database;
    } catch (const CommandError&) {
        // A worker's machine may hold endpoints that only an orchestrator may not use. What needs the
        // settings themselves complains.
        if (!config_option.empty()) throw;
    }
    return {database_url, chosen->connect_timeout};
}

postgres::Connection Context::connect(std::optional<std::chrono::milliseconds> lock_timeout) const {
    const DatabaseChoice choice = database();
    const postgres::Address to = address(choice.url);
    try {
        postgres::Connection connection(
            to, {.application_name = "tasker command line", .lock_timeout = lock_timeout});
        read_only_ = connection.ground().read_only;
        return connection;
    } catch (const postgres::CannotConnect& error) {
        throw CommandError(
            ExitCode::database_unreachable, error.what(),
            fmt::format("the URL came from {}; check that the server runs and the URL is right, or "
                        "start a private one with `tasker dev`",
                        choice.source));
    }
}

postgres::Connection Context::connect_checked() const {
    postgres::Connection connection = connect(kLockTimeout);
    const auto check = postgres::check_schema(connection);
    if (check.verdict != postgres::SchemaVerdict::ok)
        throw CommandError(ExitCode::schema_mismatch, check.message);
    return connection;
}

const options::LoadedOptions& Context::loaded_settings() const {
    if (settings_) return *settings_;
    auto loaded = options::load_options(settings_file(config_option));
    if (!loaded) {
        std::string text = "the configuration is not usable:";
        for (const auto& problem : loaded.error()) text += "\n  " + yaml::to_string(problem);
        throw CommandError(ExitCode::usage, text,
                           "correct what is listed, or name another file with --config");
    }
    settings_ = std::move(*loaded);
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
    write(document.dump(2, ' ', false, Json::error_handler_t::replace));
}

void Context::print(std::string_view text) const {
    json ? write(text) : write(printable_lines(text, color()));
}

void Context::write(std::string_view line) const {
    const bool written = std::fwrite(line.data(), 1, line.size(), stdout) == line.size() &&
                         std::fputc('\n', stdout) != EOF && std::fflush(stdout) == 0;
    if (written) return;
    // Whoever read has had enough (`| head`): end like every other program, without a word.
    if (errno == EPIPE) {
        ::signal(SIGPIPE, SIG_DFL);
        ::raise(SIGPIPE);
    }
    const std::string reason = std::strerror(errno);
    throw CommandError(ExitCode::failed, "cannot write the answer to standard output: " + reason,
                       "what the command changes is done: look before you repeat it");
}

void Context::remark(std::string_view line) const {
    if (!json) std::fprintf(stderr, "%s\n", printable_lines(line, false).c_str());
}

void Context::print_error(ExitCode code, const std::string& message, const std::string& advice) const {
    if (json) {
        Json error = {{"code", to_string(code)}, {"message", message}};
        if (!advice.empty()) error["advice"] = advice;
        const std::string text = Json{{"error", error}}.dump(2, ' ', false, Json::error_handler_t::replace);
        std::fprintf(stderr, "%s\n", text.c_str());
        return;
    }
    std::fprintf(stderr, "tasker: %s\n", printable_lines(message, false).c_str());
    if (!advice.empty()) std::fprintf(stderr, "        %s\n", printable_lines(advice, false).c_str());
}

}  // namespace tasker::cli
