// A bound on what a flood of messages can write into tasker_rejected_messages.
#pragma once

#include <chrono>
#include <string>
#include <unordered_map>

namespace tasker::store {

/// Rows that one lane writes of one code within a minute. Beyond that messages are refused and counted all
/// the same, and leave no row.
inline constexpr int kRejectedRowsPerMinute = 600;

/// Belongs to its lane's thread.
class RejectedRows {
  public:
    bool may_write(const std::string& code, std::chrono::milliseconds now) {
        if (now - began_ >= std::chrono::minutes(1)) {
            began_ = now;
            written_.clear();
        }
        return ++written_[code] <= kRejectedRowsPerMinute;
    }

  private:
    std::chrono::milliseconds began_{0};
    std::unordered_map<std::string, int> written_;  // by code: a handful of this program's own words
};

}  // namespace tasker::store
