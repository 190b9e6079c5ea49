#include "orchestrator/cli/dev_session.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>

#include "orchestrator/options/endpoint.hpp"
#include "orchestrator/store/migrator.hpp"
#include "orchestrator/util/file_lock.hpp"
#include "orchestrator/util/time.hpp"

namespace tasker::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds, std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr const char* kDatabaseName = "tasker";
constexpr const char* kReadyWords = "tasker-orchestrator ready";
constexpr auto kOrchestratorStartLimit = seconds(30);
// It may hand back work and wait for acks; then the crash-only design carries the rest.
constexpr auto kOrchestratorStopLimit = seconds(20);
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

ExitCode DevSession::run() {
    const auto directory = make_dev_directory(options_.directory);
    if (!directory) fail(directory.error());
    const auto lock =
        util::FileLock::try_acquire(*directory / kDevLockFile, fmt::format("pid {}", ::getpid()));
    if (!lock) {
        if (!lock.error().held) fail(lock.error().text);
        fail(fmt::format("a tasker dev already runs in {} ({})", directory->string(), lock.error().holder),
             "use it (other commands find it by themselves), stop it with Ctrl-C in its terminal, or start "
             "another "
             "one with --dir");
    }
    fs::remove(*directory / kDevStateFile);  // left behind by one that was killed
    try {
        start_database(*directory);
        migrate();
        load_templates();
        start_orchestrator();
        wait_until_serving();
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

void DevSession::start_database(const fs::path& directory) {
    std::string url = context_.database_option;
    if (url.empty()) url = environment_or("TASKER_DATABASE_URL", "");
    auto places = prepare_places(directory, url.empty());
    if (!places) fail(places.error());
    places_ = std::move(*places);
    for (const std::string& remark : places_->remarks) context_.remark("note: " + remark);
    state_.database_url = url;
    if (!url.empty()) {
        summary_.push_back("database      " + store::describe_database(url) + " (an existing server)");
        return;
    }
    if (auto stopped = stop_stale_server(places_->data_dir, kServerStopLimit); !stopped)
        fail(stopped.error());
    if (!fs::exists(places_->data_dir))
        context_.remark("creating a private PostgreSQL (only the first time) …");
    PrivatePostgresPlan plan;
    plan.data_dir = places_->data_dir;
    plan.socket_dir = places_->server_socket_dir();
    plan.log_file = places_->log_file();
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
    store::Connection connection(state_.database_url, {.application_name = "tasker dev"});
    const auto done = store::Migrator(connection).up();
    if (!done) fail(done.error().message, done.error().advice);
    summary_.push_back(
        fmt::format("schema        version {} ({})", store::required_version(),
                    done->empty() ? "up to date" : fmt::format("{} migrations applied", done->size())));
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

DevEndpoints DevSession::endpoints() const {
    const auto socket = [&](const char* name) { return "ipc://" + (places_->run_dir / name).string(); };
    return {environment_or("TASKER_STEPS_ENDPOINT", socket("steps")),
            environment_or("TASKER_RESULTS_ENDPOINT", socket("results")),
            environment_or("TASKER_COMMAND_ENDPOINT", socket("command"))};
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
    if (!context_.config_option.empty()) {
        spawn.arguments.insert(spawn.arguments.end(), {"--config", context_.config_option});
    }
    spawn.environment = {{"TASKER_DATABASE_URL", state_.database_url},
                         {"TASKER_STEPS_ENDPOINT", bound.steps},
                         {"TASKER_RESULTS_ENDPOINT", bound.results},
                         {"TASKER_COMMAND_ENDPOINT", bound.command}};
    spawn.pipe_output = true;  // its ready line; logs go to our standard error
    auto process = util::Process::spawn(spawn);
    if (!process) fail(process.error());
    orchestrator_.emplace(std::move(*process));
    state_.orchestrator_pid = orchestrator_->pid();
    state_.endpoints = {options::connect_form(bound.steps), options::connect_form(bound.results),
                        options::connect_form(bound.command)};
}

/// Passes on what the orchestrator prints; notices the ready line. False at the end of its output.
bool DevSession::forward_output() {
    char buffer[4096];
    const ssize_t size = ::read(orchestrator_->output(), buffer, sizeof buffer);
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    orchestrator_output_.append(buffer, static_cast<std::size_t>(size));
    for (auto end = orchestrator_output_.find('\n'); end != std::string::npos;
         end = orchestrator_output_.find('\n')) {
        const std::string line = orchestrator_output_.substr(0, end);
        orchestrator_output_.erase(0, end + 1);
        if (line.starts_with(kReadyWords)) {
            serving_ = true;
        } else {
            context_.remark(line);
        }
    }
    return size > 0;
}

void DevSession::wait_until_serving() {
    const auto deadline = Clock::now() + kOrchestratorStartLimit;
    bool more = true;
    while (!serving_) {
        if (signals_.received()) throw Interrupted{};
        const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
        if (left <= 0) {
            fail(fmt::format("the orchestrator has not become ready within {} s",
                             kOrchestratorStartLimit.count()),
                 "its messages are above");
        }
        std::array<pollfd, 3> items{{{orchestrator_->pidfd(), POLLIN, 0},
                                     {signals_.fd(), POLLIN, 0},
                                     {more ? orchestrator_->output() : -1, POLLIN, 0}}};
        ::poll(items.data(), items.size(), static_cast<int>(left));
        if (items[2].revents != 0) more = forward_output();
        if (const auto ended = orchestrator_->try_wait(); ended && !serving_) {
            fail(fmt::format("the orchestrator {} before it was ready", ended->text()),
                 "its messages are above");
        }
    }
}

void DevSession::announce() {
    state_.pid = ::getpid();
    state_.started_at = util::rfc3339_utc_now();
    write_dev_state(places_->directory, state_);
    if (context_.json) {
        context_.print_json(state_.to_json());
        return;
    }
    context_.print("tasker dev in " + places_->directory.string());
    for (const std::string& line : summary_) context_.print("  " + line);
    context_.print(fmt::format("  orchestrator  pid {}", state_.orchestrator_pid));
    context_.print("  steps         " + state_.endpoints.steps);
    context_.print("  results       " + state_.endpoints.results);
    context_.print("  command       " + state_.endpoints.command);
    const bool usual = options_.directory == kDevDirectory;
    context_.print(
        fmt::format("Ready. In the terminals of your workers: eval \"$(tasker dev --env{})\"\nStop with "
                    "Ctrl-C; the data stay.",
                    usual ? "" : " --dir " + places_->directory.string()));
}

ExitCode DevSession::watch() {
    bool more = true;
    while (true) {
        std::array<pollfd, 4> items{{{signals_.fd(), POLLIN, 0},
                                     {orchestrator_->pidfd(), POLLIN, 0},
                                     {server_ ? server_->process().pidfd() : -1, POLLIN, 0},
                                     {more ? orchestrator_->output() : -1, POLLIN, 0}}};
        ::poll(items.data(), items.size(), -1);
        if (items[3].revents != 0) more = forward_output();
        if (signals_.received()) return ExitCode::ok;
        if (const auto ended = orchestrator_->try_wait()) {
            fail("the orchestrator " + ended->text(), "its messages are above; everything is being stopped");
        }
        if (server_) {
            if (const auto ended = server_->process().try_wait()) {
                fail("the private PostgreSQL " + ended->text(), "see " + places_->log_file().string());
            }
        }
    }
}

/// True when it ended as it should, or had ended before.
bool DevSession::stop_orchestrator() {
    if (!orchestrator_ || orchestrator_->try_wait()) return true;
    orchestrator_->signal(SIGTERM);
    const auto deadline = Clock::now() + kOrchestratorStopLimit;
    bool more = true;
    while (signals_.take()) {
    }
    while (!orchestrator_->try_wait()) {
        const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
        std::array<pollfd, 3> items{{{orchestrator_->pidfd(), POLLIN, 0},
                                     {signals_.fd(), POLLIN, 0},
                                     {more ? orchestrator_->output() : -1, POLLIN, 0}}};
        ::poll(items.data(), items.size(), static_cast<int>(std::max<long>(0, left)));
        if (items[2].revents != 0) more = forward_output();
        const bool again = signals_.take().has_value();
        if (!again && left > 0) continue;
        context_.remark(again ? "stopping the orchestrator at once"
                              : "the orchestrator does not stop; killing it");
        orchestrator_->terminate(SIGKILL, milliseconds(0));
        return again;
    }
    const auto status = *orchestrator_->try_wait();
    if (!status.success()) context_.remark("the orchestrator " + status.text() + " while stopping");
    return status.success();
}

bool DevSession::stop() {
    if (!places_) return true;
    fs::remove(places_->directory / kDevStateFile);
    if (orchestrator_) context_.remark("stopping …");
    bool in_order = stop_orchestrator();
    orchestrator_.reset();
    if (server_) {
        const auto status = server_->stop(kServerStopLimit);
        if (!status.success()) context_.remark("the private PostgreSQL " + status.text());
        in_order = in_order && status.success();
        server_.reset();
    }
    remove_run_dir(*places_);
    return in_order;
}

}  // namespace tasker::cli
