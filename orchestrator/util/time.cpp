#include "orchestrator/util/time.hpp"

#include <fmt/format.h>

#include <ctime>

namespace tasker::util {

BootClock::time_point BootClock::now() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return time_point(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

std::chrono::milliseconds boot_time() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(BootClock::now().time_since_epoch());
}

std::string rfc3339_utc(std::chrono::system_clock::time_point time) {
    using namespace std::chrono;
    const auto millis = floor<milliseconds>(time);
    const auto second = floor<seconds>(millis);
    const std::time_t whole = system_clock::to_time_t(second);
    std::tm parts{};
    ::gmtime_r(&whole, &parts);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                       parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, (millis - second).count());
}

std::string rfc3339_utc_now() {
    return rfc3339_utc(std::chrono::system_clock::now());
}

}  // namespace tasker::util
