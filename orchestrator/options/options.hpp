// Every setting of the orchestrator, as values. Meaning, unit and limits of each stand in settings.cpp, once;
// the defaults stand here, once. `tasker-orchestrator --help-settings` prints both.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace tasker::options {

using std::chrono::milliseconds;

/// The value of a text setting that switches its subject off.
inline constexpr const char* kOff = "off";

/// One ZeroMQ endpoint: what the orchestrator binds, and what workers and clients connect to.
struct Endpoint {
    std::string bind;
    std::vector<std::string> connect;

    bool operator==(const Endpoint&) const = default;
};

struct Endpoints {
    Endpoint steps{"tcp://127.0.0.1:5555", {"tcp://127.0.0.1:5555"}};
    Endpoint results{"tcp://127.0.0.1:5556", {"tcp://127.0.0.1:5556"}};
    Endpoint command{"tcp://127.0.0.1:5557", {"tcp://127.0.0.1:5557"}};

    bool operator==(const Endpoints&) const = default;
};

struct Database {
    std::string url;  // empty: not configured
    milliseconds connect_timeout{5000};
    milliseconds reconnect_max{5000};
    int lanes = 2;

    bool operator==(const Database&) const = default;
};

struct Delivery {
    int batch_size = 10;
    int prefetch = 2;
    int step_queue_hwm = 1000;
    int result_queue_hwm = 1000;
    int accept_resends = 2;
    milliseconds result_timeout{300'000};

    bool operator==(const Delivery&) const = default;
};

struct Timers {
    milliseconds heartbeat{1000};
    milliseconds suspect_after{3000};
    milliseconds lease{8000};
    milliseconds disconnect_grace{2000};
    milliseconds accept_timeout{2000};
    milliseconds timeout_grace{5000};
    milliseconds start_window{1000};
    milliseconds reconcile_grace{5000};
    milliseconds resend{1000};

    bool operator==(const Timers&) const = default;
};

struct Limits {
    std::int64_t batch_bytes = 16LL * 1024 * 1024;
    std::int64_t result_bytes = 1024LL * 1024;
    int depth = 64;
    int capacity = 10'000;

    bool operator==(const Limits&) const = default;
};

enum class LogLevel { trace, debug, info, warning, error };
enum class LogFormat { text, json };

struct Log {
    LogLevel level = LogLevel::info;
    LogFormat format = LogFormat::text;

    bool operator==(const Log&) const = default;
};

struct Retention {
    int days = 0;  // keep everything: nothing is destroyed without being asked
    std::int64_t partition_rows = 1'000'000;
    milliseconds check_interval{60'000};

    bool operator==(const Retention&) const = default;
};

struct Http {
    std::string bind = kOff;  // reserved

    bool operator==(const Http&) const = default;
};

struct Options {
    std::string environment = "development";
    std::string templates_dir = kOff;
    bool allow_insecure = false;
    Retention retention;
    Database database;
    Endpoints endpoints;
    Delivery delivery;
    Timers timers;
    Limits limits;
    Log log;
    Http http;

    bool operator==(const Options&) const = default;
};

}  // namespace tasker::options
