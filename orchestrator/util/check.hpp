// CHECK(condition) and CHECK(condition, "why it must hold"): always on, also in release builds. For mistakes
// of the programmer only, never for anything that comes from the wire, the database or a configuration file.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace tasker::util {

[[noreturn]] inline void check_failed(const char* file, int line, const char* condition,
                                      const char* message = "") {
    std::fprintf(stderr, "%s:%d: CHECK failed: %s%s%s\n", file, line, condition, *message != '\0' ? ": " : "",
                 message);
    std::fflush(stderr);
    std::abort();
}

}  // namespace tasker::util

#define CHECK(condition, ...)                                                                        \
    do {                                                                                             \
        if (!(condition)) [[unlikely]]                                                               \
            ::tasker::util::check_failed(__FILE__, __LINE__, #condition __VA_OPT__(, ) __VA_ARGS__); \
    } while (false)
