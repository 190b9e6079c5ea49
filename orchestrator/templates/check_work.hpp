// Internal to the schema check: how much of its time is used up.
#pragma once

#include <cstddef>
#include <stdexcept>

namespace tasker::templates {

/// The check came to an end before the value did: `what()` says why.
struct UncheckableValue : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Counts what one check does. It measures processor time, so that a busy machine refuses nothing.
class CheckWork {
  public:
    CheckWork();
    /// `units` are some ten nanoseconds each; the clock is only looked at now and then.
    /// @throws UncheckableValue when the check has taken more than kCheckSecondsMax.
    void charge(std::size_t units);

  private:
    double started_;
    std::size_t units_ = 0;
};

}  // namespace tasker::templates
