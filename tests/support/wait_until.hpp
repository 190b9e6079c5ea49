// Waiting for a condition with a limit: what tests do instead of sleeping for a while and hoping.
#pragma once

#include <chrono>
#include <thread>

namespace tasker::test {

/// Calls `condition` until it is true or `limit` has passed; returns whether it became true. For conditions
/// that send no signal (another process's state, a row written by someone else); where there is one, wait for
/// that.
template <typename Condition>
bool wait_until(Condition&& condition, std::chrono::milliseconds limit) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (true) {
        if (condition()) return true;
        if (std::chrono::steady_clock::now() >= deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

}  // namespace tasker::test
