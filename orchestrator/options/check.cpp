#include "orchestrator/options/check.hpp"

#include <fmt/format.h>

#include <utility>

#include "orchestrator/options/endpoint.hpp"

namespace tasker::options {

namespace {

using yaml::Problem;
using yaml::Severity;

class Checker {
  public:
    Checker(const Options& options, const Origins& origins) : options_(options), origins_(origins) {}

    std::vector<Problem> run() {
        check_timers();
        check_sizes();
        check_endpoints();
        check_reach();
        return std::move(problems_);
    }

  private:
    // Blames the setting someone has set: of two that do not go together the first with an origin.
    void add(Severity severity, std::string_view key, std::string_view other, std::string message) {
        auto origin = origins_.find(key);
        if (origin == origins_.end()) origin = origins_.find(other);
        if (origin == origins_.end()) {
            problems_.push_back({"defaults", 0, 0, std::string(key), std::move(message), severity});
            return;
        }
        const Origin& place = origin->second;
        problems_.push_back({place.file, place.line, place.column, place.name, std::move(message), severity});
    }

    void less(std::string_view key, milliseconds value, std::string_view other, milliseconds limit) {
        if (value < limit) return;
        add(Severity::error, key, other,
            fmt::format("{} ({} ms) must be less than {} ({} ms).", key, value.count(), other,
                        limit.count()));
    }

    void check_timers() {
        const Timers& timers = options_.timers;
        less("timers.heartbeat_ms", timers.heartbeat, "timers.suspect_after_ms", timers.suspect_after);
        less("timers.suspect_after_ms", timers.suspect_after, "timers.lease_ms", timers.lease);
        less("timers.accept_timeout_ms", timers.accept_timeout, "timers.lease_ms", timers.lease);
        less("timers.start_window_ms", timers.start_window, "timers.lease_ms", timers.lease);
        if (timers.disconnect_grace > timers.lease) {
            add(Severity::error, "timers.disconnect_grace_ms", "timers.lease_ms",
                fmt::format("timers.disconnect_grace_ms ({} ms) must be at most timers.lease_ms ({} ms).",
                            timers.disconnect_grace.count(), timers.lease.count()));
        }
        if (timers.heartbeat < timers.suspect_after && timers.heartbeat * 2 > timers.suspect_after) {
            add(Severity::warning, "timers.suspect_after_ms", "timers.heartbeat_ms",
                fmt::format("A single late heartbeat makes a session suspect: timers.suspect_after_ms ({} "
                            "ms) is less "
                            "than two heartbeats ({} ms each).",
                            timers.suspect_after.count(), timers.heartbeat.count()));
        }
    }

    void check_sizes() {
        const Limits& limits = options_.limits;
        if (limits.result_bytes > limits.batch_bytes) {
            add(Severity::error, "limits.result_bytes", "limits.batch_bytes",
                fmt::format(
                    "limits.result_bytes ({}) must be at most limits.batch_bytes ({}): results travel on to "
                    "later steps.",
                    limits.result_bytes, limits.batch_bytes));
        }
    }

    // Any free port or path may be asked for several times; everything else belongs to one socket.
    static bool is_wildcard(const std::string& endpoint) {
        return endpoint.ends_with(":0") || endpoint.ends_with(":*") || endpoint == "ipc://*";
    }

    void check_endpoints() {
        const std::pair<std::string_view, const Endpoint*> all[] = {
            {"step_execution.step_publisher", &options_.endpoints.steps},
            {"step_execution.result_subscriber", &options_.endpoints.results},
            {"step_execution.command", &options_.endpoints.command},
        };
        for (std::size_t second = 1; second < std::size(all); ++second) {
            for (std::size_t first = 0; first < second; ++first) {
                const std::string& endpoint = all[second].second->bind;
                // Compared in the form clients use: *:5555 and 127.0.0.1:5555 are the same port.
                if (connect_form(endpoint) != connect_form(all[first].second->bind) || is_wildcard(endpoint))
                    continue;
                add(Severity::error, all[second].first, all[first].first,
                    fmt::format("'{}' is already used by {}: each socket needs an endpoint of its own.",
                                endpoint, all[first].first));
            }
        }
    }

    void check_reach() {
        const std::pair<std::string_view, std::string_view> all[] = {
            {"step_execution.step_publisher", options_.endpoints.steps.bind},
            {"step_execution.result_subscriber", options_.endpoints.results.bind},
            {"step_execution.command", options_.endpoints.command.bind},
        };
        for (const auto& [key, address] : all) {
            if (is_local(address)) continue;
            if (options_.allow_insecure) {
                add(Severity::warning, key, "allow_insecure",
                    fmt::format(
                        "'{}' can be reached from other machines, without encryption or authentication "
                        "(allow_insecure is true).",
                        address));
            } else {
                add(Severity::error, key, "",
                    fmt::format(
                        "'{}' can be reached from other machines, and nothing encrypts or authenticates this "
                        "traffic yet. Bind 127.0.0.1, [::1] or ipc://path, or set allow_insecure: true.",
                        address));
            }
        }
    }

    const Options& options_;
    const Origins& origins_;
    std::vector<Problem> problems_;
};

}  // namespace

std::vector<yaml::Problem> cross_check(const Options& options, const Origins& origins) {
    return Checker(options, origins).run();
}

}  // namespace tasker::options
