#include "orchestrator/store/wake_payload.hpp"

#include <charconv>

namespace tasker::store {

ports::Wake parse_wake(std::string_view payload) {
    ports::Wake wake;
    if (payload == "templates") {
        wake.definitions = true;
        return wake;
    }
    if (!payload.starts_with("keys:")) {
        wake.full_scan = true;
        return wake;
    }
    const char* at = payload.data() + 5;
    const char* const end = payload.data() + payload.size();
    while (true) {
        std::int32_t key = 0;
        const auto [next, error] = std::from_chars(at, end, key);
        const bool read = error == std::errc() && *at != '-';  // from_chars takes a sign, keys have none
        if (read) wake.keys.push_back(key);
        if (read && next == end) break;
        if (!read || *next != ',') {
            wake.full_scan = true;
            break;
        }
        at = next + 1;
    }
    return wake;
}

}  // namespace tasker::store
