#include "orchestrator/templates/check_work.hpp"

#include <fmt/format.h>

#include <ctime>

#include "orchestrator/templates/context_validator.hpp"

namespace tasker::templates {

namespace {

double processor_time() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

}  // namespace

CheckWork::CheckWork() : started_(processor_time()) {}

void CheckWork::charge(std::size_t units) {
    constexpr std::size_t between_looks = 10'000;
    units_ += units;
    if (units_ < between_looks) return;
    units_ = 0;
    if (processor_time() - started_ > kCheckSecondsMax) {
        throw UncheckableValue(fmt::format("it takes more than {} s", kCheckSecondsMax));
    }
}

}  // namespace tasker::templates
