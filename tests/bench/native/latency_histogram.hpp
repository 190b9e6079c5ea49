// Counts durations in geometric buckets, so that millions of them cost a few hundred numbers.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

namespace tasker::bench {

/// Buckets grow by 2^(1/16) from one microsecond: a percentile read from them is exact to 4.4 %.
/// Not thread-safe.
class LatencyHistogram {
  public:
    void add(std::chrono::nanoseconds duration) {
        const double microseconds = std::max(1.0, static_cast<double>(duration.count()) / 1000.0);
        const auto bucket = static_cast<std::size_t>(std::log2(microseconds) * kPerDoubling);
        ++counts_[std::min(bucket, counts_.size() - 1)];
    }

    /// `[[lower edge in µs, count], …]`, empty buckets left out.
    std::string to_json() const {
        std::string json = "[";
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            if (counts_[i] == 0) continue;
            if (json.size() > 1) json += ',';
            json += '[' + std::to_string(std::exp2(static_cast<double>(i) / kPerDoubling)) + ',' +
                    std::to_string(counts_[i]) + ']';
        }
        return json + ']';
    }

  private:
    static constexpr double kPerDoubling = 16;
    std::array<std::uint64_t, 512> counts_{};  // the last one begins at 66 minutes
};

}  // namespace tasker::bench
