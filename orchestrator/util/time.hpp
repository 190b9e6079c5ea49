// The two clocks: one for measuring spans, one for telling people the time.
#pragma once

#include <chrono>
#include <string>

namespace tasker::util {

/// CLOCK_BOOTTIME: never set back, and it goes on while the machine sleeps, so a lease that ran out during a
/// suspend is seen as run out.
struct BootClock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<BootClock>;
    static constexpr bool is_steady = true;

    static time_point now() noexcept;
};

/// Milliseconds since boot: the time that core's functions are given.
std::chrono::milliseconds boot_time();

/// 2025-06-30T12:34:56.789Z, in UTC, with milliseconds.
std::string rfc3339_utc(std::chrono::system_clock::time_point time);
std::string rfc3339_utc_now();

}  // namespace tasker::util
