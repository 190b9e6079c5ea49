// How long a step waits before its next attempt. The one source of these numbers.
#pragma once

#include <optional>

namespace tasker::core {

/// A template's retry_backoff and max_retry_after_seconds. Seconds may be fractions; jitter is the share (0 … 1)
/// by which a delay may vary.
struct RetryBackoff {
    double base_seconds = 1.0;
    double multiplier = 2.0;
    double max_seconds = 300.0;
    double jitter = 0.1;
    double max_retry_after_seconds = 86'400.0;
};

/// Seconds to wait after attempt number `attempt` (from 1) failed: the worker's own wish, at most
/// max_retry_after_seconds, and up to a tenth on top; else base × multiplier^(attempt−1), varied by jitter, at
/// most max_seconds. `random` (0 … 1) is supplied by the caller. Never negative.
double backoff_seconds(const RetryBackoff& policy, int attempt, std::optional<double> requested,
                       double random);

/// What the worker's wish was cut to; nothing where it was kept, or where there was none.
std::optional<double> retry_after_cut(const RetryBackoff& policy, std::optional<double> requested);

/// How long a step waits whose handler asked for it: exactly so long, but at most a year.
double snooze_seconds(double requested);

}  // namespace tasker::core
