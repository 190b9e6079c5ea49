// A bucket of tokens: so many at once, and so many more a second.
#pragma once

#include <algorithm>
#include <chrono>

namespace tasker::engine {

/// How much of something is allowed: `at_once` after a silence, `per_second` for ever.
struct Allowance {
    double at_once = 0;
    double per_second = 0;
};

/// Starts full. Not thread-safe.
class Bucket {
  public:
    Bucket(const Allowance& allowance, std::chrono::milliseconds now)
        : allowance_(allowance), tokens_(allowance.at_once), filled_(now) {}

    /// Takes `cost`; the debt may exceed what is there. False when there was nothing before.
    bool take(double cost, std::chrono::milliseconds now) {
        if (!has_any(now)) return false;
        tokens_ -= cost;
        return true;
    }
    bool has_any(std::chrono::milliseconds now) {
        const double seconds = std::chrono::duration<double>(now - filled_).count();
        filled_ = now;
        add(seconds * allowance_.per_second);
        return tokens_ > 0;
    }
    void add(double tokens) { tokens_ = std::min(tokens_ + tokens, allowance_.at_once); }

  private:
    Allowance allowance_;
    double tokens_;
    std::chrono::milliseconds filled_;
};

}  // namespace tasker::engine
