#include "orchestrator/cli/dev/dev_session.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "orchestrator/cli/settings_file.hpp"
#include "orchestrator/options/endpoint.hpp"
#include "orchestrator/options/options.hpp"
#include "orchestrator/postgres/migrator.hpp"
#include "orchestrator/util/time.hpp"

namespace tasker::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds, std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr const char* kDatabaseName = "tasker";
constexpr const char* kServerLog = "postgres.log";
constexpr const char* kGitIgnore = ".gitignore";
constexpr std::string_view kIpc = "ipc://";
constexpr const char* kMessagesAbove = "its messages are above";
constexpr auto kLockPatience = milliseconds(300);
constexpr auto kOrchestratorStartLimit = seconds(30);
constexpr auto kServerStopLimit = seconds(30);

/// Thrown inside when a stop signal comes during the start: unwinds, stopping what was started.
struct Interrupted {};

[[noreturn]] void fail(const std::string& message, const std::string& advice = {}) {
    throw CommandError(ExitCode::failed, message, advice);
}

std::string environment_or(const char* variable, const std::string& fallback) {
    const char* value = std::getenv(variable);
    return value != nullptr && *value != '\0' ? value : fallback;
}

fs::path folder_of_this_program() {
    return fs::read_symlink("/proc/self/exe").parent_path();
}

}  // namespace

/// A variable's value, unless it is empty or some earlier `tasker dev --env` left it in this terminal.
std::string DevSession::variable(const char* name) {
    const std::string value = environment_or(name, "");
    const bool left_over =
        value.starts_with(kIpc) ? is_in_run_dir(value.substr(kIpc.size())) : is_url_of_dev(value);
    if (!left_over) return value;
    summary_.push_back(fmt::format("ignored       {}: it is that of a tasker dev", name));
    return {};
}

DevSession::DevSession(const Context& context, DevOptions options)
    : context_(context), options_(std::move(options)) {
    const std::string no_color = environment_or("NO_COLOR", "");
    color_ = ::isatty(STDERR_FILENO) == 1 && no_color.empty() && !context_.no_color && !context_.json &&
             environment_or("TERM", "dumb") != "dumb";
    named_lines_ = !options_.workers.empty();
}

ExitCode DevSession::run() {
    refuse_below_a_running_one();
    if (options_.templates_named && !fs::is_directory(options_.templates)) {
        throw CommandError(
            ExitCode::usage, "there is no directory " + options_.templates.string(),
            "name the folder of your task templates, or leave --templates and templates_dir out");
    }
    auto folder = DevFolder::make(options_.directory);
    if (!folder) fail(folder.error());
    folder_.emplace(std::move(*folder));
    const auto lock = take_lock();
    if (!status_at(folder_->fd(), kGitIgnore)) write_own_file(folder_->fd(), kGitIgnore, "*\n");
    folder_->remove(kDevStateFile);  // left behind by one that was killed
    try {
        start_database();
        migrate();
        load_templates();
        start_orchestrator();
        wait_until_serving();
        start_workers();
        announce();
        const ExitCode code = watch();
        return stop() ? code : ExitCode::failed;
    } catch (const Interrupted&) {
        context_.remark("interrupted during the start");
        stop();
        return ExitCode::interrupted;
    } catch (...) {
        stop();
        throw;
    }
}

/// The same project twice would be a mistake more often than a wish.
void DevSession::refuse_below_a_running_one() const {
    if (options_.directory != kDevDirectory) return;  // named
    const auto found = find_running_dev(fs::current_path()).directory;
    if (!found || found->parent_path() == fs::current_path()) return;
    const auto state = read_running_dev(*found);
    fail(fmt::format("a tasker dev already runs above, in {} (pid {})", found->string(),
                     state ? state->pid : 0),
         "use it: commands and workers find it from here; or start another one: tasker dev --dir .tasker");
}

util::FileLock DevSession::take_lock() const {
    // Whoever asks whether it is held keeps it from us for a moment.
    const auto deadline = Clock::now() + kLockPatience;
    auto lock = folder_->try_lock();
    while (!lock && lock.error().held && Clock::now() < deadline) {
        std::this_thread::sleep_for(milliseconds(10));
        lock = folder_->try_lock();
    }
    if (lock) return std::move(*lock);
    if (!lock.error().held)
        fail(fmt::format("in {}: {}", folder_->path().string(), lock.error().text),
             "remove it, and start again");
    fail(fmt::format("a tasker dev already runs in {} ({})", folder_->path().string(), lock.error().holder),
         "use it (other commands find it by themselves), stop it with Ctrl-C in its terminal, or start "
         "another one with --dir");
}

void DevSession::start_database() {
    std::string url = context_.database_option;
    if (url.empty()) url = variable("TASKER_DATABASE_URL");
    auto places = prepare_places(*folder_, {url.empty(), options_.adopt_data});
    if (!places) fail(places.error());
    places_ = std::move(*places);
    for (const std::string& remark : places_->remarks) context_.remark("note: " + remark);
    state_.database_url = url;
    if (!url.empty()) {
        summary_.push_back("database      " + postgres::describe_database(url) + " (an existing server)");
        return;
    }
    auto log = open_own_log(folder_->fd(), kServerLog, folder_->path() / kServerLog);
    if (!log) fail(log.error(), "remove it, and start again");
    if (auto stopped = stop_stale_server(places_->data_dir, kServerStopLimit); !stopped)
        fail(stopped.error());
    if (!fs::exists(places_->data_dir))
        context_.remark("creating a private PostgreSQL (only the first time) …");
    PrivatePostgresPlan plan;
    plan.data_dir = places_->data_dir;
    plan.socket_dir = places_->server_socket_dir();
    plan.log_file = folder_->path() / kServerLog;
    plan.log_fd = log->get();
    plan.on_created = [this](const fs::path& made) { record_data_made(*folder_, *places_, made); };
    plan.cancelled = [this] { return signals_.received(); };
    auto server = PrivatePostgres::start(std::move(plan));
    if (!server) {
        if (signals_.received()) throw Interrupted{};
        fail("cannot start the private PostgreSQL: " + server.error());
    }
    server_.emplace(std::move(*server));
    server_->ensure_database(kDatabaseName);
    state_.database_url = server_->url(kDatabaseName);
    state_.data_dir = places_->data_dir;
    summary_.push_back("database      private PostgreSQL, data in " + state_.data_dir);
}

void DevSession::migrate() {
    if (signals_.received()) throw Interrupted{};
    postgres::Connection connection(context_.address(state_.database_url),
                                    {.application_name = "tasker dev"});
    const auto done = postgres::Migrator(connection).up();
    if (!done) fail(done.error().message, done.error().advice);
    summary_.push_back(
        fmt::format("schema        version {} ({})", postgres::required_version(),
                    done->empty() ? "up to date" : fmt::format("applied: {}", fmt::join(*done, ", "))));
}

void DevSession::load_templates() {
    if (signals_.received()) throw Interrupted{};
    if (!fs::is_directory(options_.templates)) {
        summary_.push_back("templates     none: no directory " + options_.templates.string());
        return;
    }
    if (!context_.load_templates) {
        summary_.push_back("templates     not loaded: this program has no template commands");
        return;
    }
    summary_.push_back("templates     " +
                       context_.load_templates(state_.database_url, options_.templates.string()));
}

/// A variable of the environment, else what the settings name, else a socket of our own. The settings' usual
/// endpoint is none that somebody chose: two projects would want it at once.
std::string DevSession::endpoint(const char* variable_name, const std::string& configured,
                                 const std::string& usual, const char* socket) {
    const std::string named = variable(variable_name);
    if (!named.empty()) return named;
    // The settings hold the variable's value already, the left-over one that does not count included.
    const bool chosen = configured != usual && configured != environment_or(variable_name, "");
    return chosen ? configured : std::string(kIpc) + (places_->run_dir / socket).string();
}

DevEndpoints DevSession::endpoints() {
    const options::Endpoints& given = context_.settings().endpoints;
    const options::Endpoints usual;
    return {endpoint("TASKER_STEPS_ENDPOINT", given.steps.bind, usual.steps.bind, "steps"),
            endpoint("TASKER_RESULTS_ENDPOINT", given.results.bind, usual.results.bind, "results"),
            endpoint("TASKER_COMMAND_ENDPOINT", given.command.bind, usual.command.bind, "command")};
}

void DevSession::start_orchestrator() {
    if (signals_.received()) throw Interrupted{};
    const fs::path program = options_.orchestrator.empty() ? folder_of_this_program() / "tasker-orchestrator"
                                                           : options_.orchestrator;
    if (::access(program.c_str(), X_OK) != 0) {
        fail(fmt::format("the orchestrator {} is missing or cannot be executed", program.string()),
             "build it with bin/setup, or say where it is with --orchestrator");
    }
    const DevEndpoints bound = endpoints();
    util::SpawnOptions spawn;
    spawn.arguments = {program};
    if (const auto settings = settings_file(context_.config_option)) {
        spawn.arguments.insert(spawn.arguments.end(), {"--config", *settings});
        summary_.push_back("settings      " + settings->string());
        if (!context_.settings().database.url.empty() && server_)
            context_.remark(
                "note: database.url of the settings is not used; TASKER_DATABASE_URL or --database is");
    }
    spawn.environment = {{"TASKER_DATABASE_URL", state_.database_url},
                         {"TASKER_STEPS_ENDPOINT", bound.steps},
                         {"TASKER_RESULTS_ENDPOINT", bound.results},
                         {"TASKER_COMMAND_ENDPOINT", bound.command},
                         // They are loaded already.
                         {"TASKER_TEMPLATES_DIR", options::kOff}};
    orchestrator_.emplace("orchestrator", std::move(spawn),
                          [this](const std::string& line) { on_orchestrator_line(line); });
    if (auto started = orchestrator_->start(); !started) fail(started.error());
    state_.orchestrator_pid = orchestrator_->pid();
    state_.endpoints = {options::connect_form(bound.steps), options::connect_form(bound.results),
                        options::connect_form(bound.command)};
}

void DevSession::wait_until_serving() {
    const auto deadline = Clock::now() + kOrchestratorStartLimit;
    while (!serving_) {
        wait_for_events(deadline);
        if (signals_.received()) throw Interrupted{};
        const auto ended = orchestrator_->look();
        if (serving_) return;
        if (ended)
            fail(fmt::format("the orchestrator {} before it was ready", ended->text()), kMessagesAbove);
        if (Clock::now() >= deadline) {
            fail(fmt::format("the orchestrator has not become ready within {} s",
                             kOrchestratorStartLimit.count()),
                 kMessagesAbove);
        }
    }
}

void DevSession::start_workers() {
    for (const std::string& command : options_.workers) {
        const int number = static_cast<int>(workers_.size()) + 1;
        const std::string name = fmt::format("worker-{}", number);
        util::SpawnOptions spawn;
        spawn.arguments = {"/bin/sh", "-c", command};
        spawn.environment = {{"TASKER_DATABASE_URL", state_.database_url},
                             {"TASKER_STEPS_ENDPOINT", state_.endpoints.steps},
                             {"TASKER_RESULTS_ENDPOINT", state_.endpoints.results},
                             {"TASKER_COMMAND_ENDPOINT", state_.endpoints.command},
                             // What handlers print shall be seen when they print it.
                             {"PYTHONUNBUFFERED", "1"}};
        workers_.emplace_back(name, std::move(spawn), [this, name, number](const std::string& line) {
            print_line(name, number, line);
        });
        if (auto started = workers_.back().start(); !started) fail(started.error());
        summary_.push_back(fmt::format("{:<13} {}", name, command));
    }
    if (options_.reload) watch_sources();
}

void DevSession::watch_sources() {
    fs::path templates = fs::absolute(options_.templates).lexically_normal();
    if (!templates.has_filename()) templates = templates.parent_path();  // named with a slash at its end
    templates_.emplace(templates);
    std::string what = "templates are loaded when they change";
    if (!workers_.empty()) {
        sources_.emplace(fs::current_path(), templates);
        what += ", workers restart when other sources below this folder do";
    }
    summary_.push_back("reload        " + what);
    if (templates_->truncated() || (sources_ && sources_->truncated()))
        context_.remark("note: this folder holds more files than --reload can watch");
}

void DevSession::announce() {
    state_.pid = ::getpid();
    state_.started_at = util::rfc3339_utc_now();
    write_dev_state(*folder_, state_);
    if (context_.json) {
        context_.print_json(state_.to_json());
        return;
    }
    context_.print("tasker dev in " + folder_->path().string());
    for (const std::string& line : summary_) context_.print("  " + line);
    context_.print(fmt::format("  orchestrator  pid {}", state_.orchestrator_pid));
    context_.print("  steps         " + state_.endpoints.steps);
    context_.print("  results       " + state_.endpoints.results);
    context_.print("  command       " + state_.endpoints.command);
    const bool usual = options_.directory == kDevDirectory;
    context_.print(
        usual
            ? "Ready. Commands and workers find it, in this folder and below; elsewhere: eval \"$(tasker dev "
              "--env)\""
            : fmt::format("Ready. In the terminals of commands and workers: eval \"$(tasker dev --env --dir "
                          "{})\"",
                          shell_quoted(folder_->path().string())));
    context_.print("Stop with Ctrl-C; the data stay.");
}

}  // namespace tasker::cli
