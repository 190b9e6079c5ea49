#include "orchestrator/core/retry_policy.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tasker::core {
namespace {

constexpr double kRequestedJitter = 0.1;
constexpr double kSnoozeSecondsMax = 31'536'000;  // a year

}  // namespace

double backoff_seconds(const RetryBackoff& policy, int attempt, std::optional<double> requested,
                       double random) {
    if (requested && std::isfinite(*requested)) {
        // Never sooner than asked for; spread a little, since a server asks all its clients for the same.
        const double kept = std::clamp(*requested, 0.0, policy.max_retry_after_seconds);
        return kept * (1.0 + kRequestedJitter * random);
    }
    // pow may overflow to infinity for a high attempt, and infinity times zero is no number: stay finite, and
    // let the cap do the rest.
    const double growth =
        std::min(std::pow(policy.multiplier, std::max(attempt, 1) - 1), std::numeric_limits<double>::max());
    const double grown = std::min(policy.base_seconds * growth, std::numeric_limits<double>::max());
    const double varied = grown * (1.0 + policy.jitter * (2.0 * random - 1.0));
    return std::clamp(varied, 0.0, policy.max_seconds);
}

std::optional<double> retry_after_cut(const RetryBackoff& policy, std::optional<double> requested) {
    if (!requested || !std::isfinite(*requested) || *requested <= policy.max_retry_after_seconds) {
        return std::nullopt;
    }
    return policy.max_retry_after_seconds;
}

double snooze_seconds(double requested) {
    // Not a number compares with nothing, so it waits for nothing.
    return requested > 0 ? std::min(requested, kSnoozeSecondsMax) : 0;
}

}  // namespace tasker::core
