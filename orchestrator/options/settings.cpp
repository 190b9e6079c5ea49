#include "orchestrator/options/settings.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tasker::options {

namespace {

constexpr std::int64_t kDayMs = 24LL * 3600 * 1000;
constexpr std::int64_t kMiB = 1024LL * 1024;

// A captureless accessor to one member, e.g. SLOT(timers.heartbeat).
#define TASKER_SLOT(member) (+[](Options& options) { return &options.member; })

std::vector<Setting> build_general() {
    return {
        {.key = "environment",
         .slot = TASKER_SLOT(environment),
         .form = TextForm::name,
         .environment_variable = "TASKER_ENV",
         .description = "Which entry of a template's `environments` applies."},
        {.key = "templates_dir",
         .slot = TASKER_SLOT(templates_dir),
         .form = TextForm::path,
         .environment_variable = "TASKER_TEMPLATES_DIR",
         .description =
             "Folder of task templates (*.yaml, *.yml), relative to the working directory. The orchestrator "
             "loads it at start, before it serves, as `tasker template load` does; what has not changed "
             "writes "
             "nothing. A bad template stops the start. A standby loads it when it takes over; should a "
             "template have become bad by then, it logs that and serves those of the database. `off` loads "
             "nothing."},
        {.key = "allow_insecure",
         .slot = TASKER_SLOT(allow_insecure),
         .description =
             "Allow binding to other addresses than loopback and ipc. Traffic is neither encrypted nor "
             "authenticated: whoever reaches the port can run steps and report results."},
    };
}

std::vector<Setting> build_retention() {
    return {
        {.key = "retention.days",
         .slot = TASKER_SLOT(retention.days),
         .unit = "days",
         .min = 0,
         .max = 3650,
         .description =
             "How long ended tasks are kept, counted from their end; 0 keeps everything, so that the tables "
             "only "
             "grow: set it in production (30 is a good start). They go in ranges "
             "of ids, so some stay up to an eighth longer. Tasks with an open dead letter stay until it is "
             "closed."},
        {.key = "retention.partition_rows",
         .slot = TASKER_SLOT(retention.partition_rows),
         .unit = "rows",
         .min = 100,
         .max = 1'000'000'000,
         .description =
             "Tasks (and batches) in one partition, about; twice as many for every eight partitions that "
             "exist. Fewer are dropped sooner, more cost each turn less."},
        {.key = "retention.check_interval_ms",
         .slot = TASKER_SLOT(retention.check_interval),
         .unit = "ms",
         .min = 100,
         .max = kDayMs,
         .description =
             "How often the orchestrator looks whether partitions must be made or dropped. Must be shorter "
             "than it takes to fill a partition."},
    };
}

std::vector<Setting> build_database() {
    return {
        {.key = "database.url",
         .slot = TASKER_SLOT(database.url),
         .form = TextForm::database_url,
         .environment_variable = "TASKER_DATABASE_URL",
         .description =
             "PostgreSQL connection, as URL (postgresql://user@host/name) or as key=value words. Has no "
             "default: the orchestrator does not start without it."},
        {.key = "database.connect_timeout_ms",
         .slot = TASKER_SLOT(database.connect_timeout),
         .unit = "ms",
         .min = 100,
         .max = 300'000,
         .description =
             "How long one attempt to connect to PostgreSQL may take, for the orchestrator and the command "
             "line; rounded up to whole seconds, at least 2. A connect_timeout in the URL wins."},
        {.key = "database.reconnect_max_ms",
         .slot = TASKER_SLOT(database.reconnect_max),
         .unit = "ms",
         .min = 100,
         .max = 300'000,
         .description =
             "Longest pause between two attempts while PostgreSQL is away; the pause starts at 100 ms and "
             "doubles."},
        {.key = "database.lanes",
         .slot = TASKER_SLOT(database.lanes),
         .min = 1,
         .max = 8,
         .environment_variable = "TASKER_LANES",
         .description =
             "Lanes that write task states side by side, each with a thread and a connection of its own. One "
             "keeps one processor of the PostgreSQL server busy; more than it has processors to spare bring "
             "nothing. May be changed with any restart."},
    };
}

std::vector<Setting> build_process() {
    return {
        {.key = "http.bind",
         .slot = TASKER_SLOT(http.bind),
         .form = TextForm::http_bind,
         .environment_variable = "TASKER_HTTP_BIND",
         .reserved = "until the HTTP interface exists",
         .description = "Address of the HTTP interface as host:port; `off` serves none."},
        {.key = "log.level",
         .slot = TASKER_SLOT(log.level),
         .description = "The least important messages that are still written."},
        {.key = "log.format",
         .slot = TASKER_SLOT(log.format),
         .description = "`text` for people (key=value), `json` for machines (one object per line)."},
    };
}

std::vector<Setting> build_timers() {
    return {
        {.key = "timers.heartbeat_ms",
         .slot = TASKER_SLOT(timers.heartbeat),
         .unit = "ms",
         .min = 10,
         .max = 60'000,
         .description = "Interval of heartbeats in both directions. Less than suspect_after_ms."},
        {.key = "timers.suspect_after_ms",
         .slot = TASKER_SLOT(timers.suspect_after),
         .unit = "ms",
         .min = 20,
         .max = 600'000,
         .description = "A session silent for so long gets no new work. Less than lease_ms."},
        {.key = "timers.lease_ms",
         .slot = TASKER_SLOT(timers.lease),
         .unit = "ms",
         .min = 50,
         .max = 3'600'000,
         .description = "A session silent for so long is lost: its open steps are orphans."},
        {.key = "timers.disconnect_grace_ms",
         .slot = TASKER_SLOT(timers.disconnect_grace),
         .unit = "ms",
         .min = 0,
         .max = 600'000,
         .description =
             "How long a session whose connection ended may take to come back before it is lost. At most "
             "lease_ms."},
        {.key = "timers.accept_timeout_ms",
         .slot = TASKER_SLOT(timers.accept_timeout),
         .unit = "ms",
         .min = 10,
         .max = 600'000,
         .description = "A batch that is not accepted in this time is published again. Less than lease_ms."},
        {.key = "timers.timeout_grace_ms",
         .slot = TASKER_SLOT(timers.timeout_grace),
         .unit = "ms",
         .min = 0,
         .max = 600'000,
         .description =
             "How long after its time-out a started step may still report before it is an orphan."},
        {.key = "timers.start_window_ms",
         .slot = TASKER_SLOT(timers.start_window),
         .unit = "ms",
         .min = 10,
         .max = 60'000,
         .description =
             "A claim_first step must start this soon after its worker asked. Less than lease_ms."},
        {.key = "timers.reconcile_grace_ms",
         .slot = TASKER_SLOT(timers.reconcile_grace),
         .unit = "ms",
         .min = 0,
         .max = 3'600'000,
         .description =
             "How long reports may be missing after a batch completion before they are asked for."},
        {.key = "timers.resend_ms",
         .slot = TASKER_SLOT(timers.resend),
         .unit = "ms",
         .min = 10,
         .max = 30'000,
         .description =
             "First pause before a worker sends an unacknowledged report again; it doubles up to 30000."},
    };
}

std::vector<Setting> build_delivery() {
    return {
        {.key = "delivery.prefetch",
         .slot = TASKER_SLOT(delivery.prefetch),
         .min = 1,
         .max = 1000,
         .description =
             "Steps in flight per session are at most capacity times this, for workers whose hello names no "
             "prefetch of its own."},
        {.key = "delivery.accept_resends",
         .slot = TASKER_SLOT(delivery.accept_resends),
         .min = 0,
         .max = 100,
         .description =
             "How often a batch that is not accepted is published again before its session is suspect."},
    };
}

std::vector<Setting> build_limits() {
    return {
        {.key = "limits.batch_bytes",
         .slot = TASKER_SLOT(limits.batch_bytes),
         .unit = "bytes",
         .min = 64LL * 1024,
         .max = 256 * kMiB,
         .description =
             "Largest step_batch_request. A single step over it ends in error (request_too_large). One turn "
             "builds at most 64 MiB of requests."},
        {.key = "limits.result_bytes",
         .slot = TASKER_SLOT(limits.result_bytes),
         .unit = "bytes",
         .min = 1024,
         .max = 128 * kMiB,
         .description =
             "Largest message of a worker. At most batch_bytes, since results travel on to later steps."},
        {.key = "limits.depth",
         .slot = TASKER_SLOT(limits.depth),
         .unit = "levels",
         .min = 8,
         .max = 512,
         .description =
             "Deepest nesting of JSON in a message. An output has 4 levels less, so that a later request can "
             "carry it."},
        {.key = "limits.capacity",
         .slot = TASKER_SLOT(limits.capacity),
         .unit = "steps",
         .min = 1,
         .max = 20'000,
         .description =
             "Most steps that one session runs at once. A worker that announces more is given so many; its "
             "`welcome` says so."},
    };
}

std::vector<Setting> build_step_execution() {
    return {
        {.key = "step_execution.step_publisher",
         .slot = TASKER_SLOT(endpoints.steps.bind),
         .form = TextForm::zmq_bind,
         .environment_variable = "TASKER_STEPS_ENDPOINT",
         .aliases = {"step_execution.rust_step_publisher"},
         .description =
             "Where the orchestrator binds the steps socket. The variable also sets what workers connect "
             "to."},
        {.key = "step_execution.result_subscriber",
         .slot = TASKER_SLOT(endpoints.results.bind),
         .form = TextForm::zmq_bind,
         .environment_variable = "TASKER_RESULTS_ENDPOINT",
         .aliases = {"step_execution.rust_result_subscriber"},
         .description =
             "Where the orchestrator binds the results socket. The variable also sets what workers connect "
             "to."},
        {.key = "step_execution.command",
         .slot = TASKER_SLOT(endpoints.command.bind),
         .form = TextForm::zmq_bind,
         .environment_variable = "TASKER_COMMAND_ENDPOINT",
         .description =
             "Where the orchestrator binds the command socket; clients connect to the same, `*` read as "
             "loopback."},
        {.key = "step_execution.handler_step_subscriber",
         .slot = TASKER_SLOT(endpoints.steps.connect),
         .form = TextForm::zmq_connect,
         .description =
             "What workers connect to for steps: one endpoint or a list. Without it: step_publisher, `*` "
             "read as loopback."},
        {.key = "step_execution.handler_result_publisher",
         .slot = TASKER_SLOT(endpoints.results.connect),
         .form = TextForm::zmq_connect,
         .description =
             "What workers connect to for results: one endpoint or a list. Without it: result_subscriber, "
             "`*` read as loopback."},
        {.key = "step_execution.batch_size",
         .slot = TASKER_SLOT(delivery.batch_size),
         .unit = "steps",
         .min = 1,
         .max = 1000,
         .description = "Most steps in one batch. Nothing waits to fill a batch."},
        {.key = "step_execution.result_timeout_ms",
         .slot = TASKER_SLOT(delivery.result_timeout),
         .unit = "ms",
         .min = 100,
         .max = kDayMs,
         .description =
             "Time limit of a whole batch in plain mode, from its publishing: after it, the steps that have "
             "not reported time out, even those whose own time-out is longer."},
        {.key = "step_execution.step_queue_hwm",
         .slot = TASKER_SLOT(delivery.step_queue_hwm),
         .unit = "messages",
         .min = 1,
         .max = 1'000'000,
         .description =
             "High-water mark of the steps socket, per worker. Credit keeps the queue far below it."},
        {.key = "step_execution.result_queue_hwm",
         .slot = TASKER_SLOT(delivery.result_queue_hwm),
         .unit = "messages",
         .min = 1,
         .max = 1'000'000,
         .description = "Most reports that wait for the database, for each of database.lanes. Beyond it "
                        "reports are dropped unacknowledged and "
                        "the workers send them again."},
    };
}

#undef TASKER_SLOT

std::vector<Setting> build_all() {
    std::vector<Setting> all = build_general();
    for (auto&& part : {build_retention(), build_database(), build_process(), build_timers(),
                        build_delivery(), build_limits(), build_step_execution()})
        all.insert(all.end(), part.begin(), part.end());
    return all;
}

template <typename... Functions>
struct Overloaded : Functions... {
    using Functions::operator()...;
};
template <typename... Functions>
Overloaded(Functions...) -> Overloaded<Functions...>;

}  // namespace

std::span<const Setting> settings() {
    static const std::vector<Setting> all = build_all();
    return all;
}

const Setting* find_setting(std::string_view key) {
    for (const Setting& setting : settings()) {
        if (setting.key == key) return &setting;
        if (std::find(setting.aliases.begin(), setting.aliases.end(), key) != setting.aliases.end())
            return &setting;
    }
    return nullptr;
}

const std::vector<std::string>& log_level_names() {
    static const std::vector<std::string> names{"trace", "debug", "info", "warning", "error"};
    return names;
}

const std::vector<std::string>& log_format_names() {
    static const std::vector<std::string> names{"text", "json"};
    return names;
}

std::string value_text(const Setting& setting, const Options& options) {
    // The slots hand out mutable pointers; nothing is written through them here.
    Options copy = options;
    return std::visit(
        Overloaded{
            [&](std::string* (*slot)(Options&)) { return *slot(copy); },
            [&](bool* (*slot)(Options&)) { return std::string(*slot(copy) ? "true" : "false"); },
            [&](int* (*slot)(Options&)) { return std::to_string(*slot(copy)); },
            [&](std::int64_t* (*slot)(Options&)) { return std::to_string(*slot(copy)); },
            [&](milliseconds* (*slot)(Options&)) { return std::to_string(slot(copy)->count()); },
            [&](std::vector<std::string>* (*slot)(Options&)) {
                const std::vector<std::string>& list = *slot(copy);
                return list.size() == 1 ? list.front() : fmt::format("[{}]", fmt::join(list, ", "));
            },
            [&](LogLevel* (*slot)(Options&)) {
                return log_level_names()[static_cast<std::size_t>(*slot(copy))];
            },
            [&](LogFormat* (*slot)(Options&)) {
                return log_format_names()[static_cast<std::size_t>(*slot(copy))];
            },
        },
        setting.slot);
}

}  // namespace tasker::options
