// How long a step waits before its next attempt. The one source of these numbers.
#pragma once

#include <optional>

namespace tasker::core {

/// A template's retry_backoff. Seconds may be fractions; jitter is the share (0 … 1) by which a delay may
/// vary.
struct RetryBackoff {
    double base_seconds = 1.0;
    double multiplier = 2.0;
    double max_seconds = 300.0;
    double jitter = 0.1;
};

/// Seconds to wait after attempt number `attempt` (from 1) failed: what the worker asked for, capped; else
/// base × multiplier^(attempt−1), varied by `random` (0 … 1, supplied by the caller), capped. Never negative.
double backoff_seconds(const RetryBackoff& policy, int attempt, std::optional<double> requested,
                       double random);

}  // namespace tasker::core
