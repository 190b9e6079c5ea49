// What a session did that the protocol forbids and that did no harm: counted, and shown in the worker list.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tasker::core {

enum class SessionFault {
    too_large,              // a frame above its limit
    seen_n_ahead,           // a heartbeat that has seen what was never sent
    started_without_grant,  // a claim_first step ran, or was reported, without its start being granted
    broken_promise          // a step that ran came back as never started
};
inline constexpr std::size_t kSessionFaults = 4;

/// How often each fault was seen, by its place in the enumeration.
using FaultCounts = std::array<std::int64_t, kSessionFaults>;

/// The spelling of logs, tables and lists.
constexpr std::string_view to_text(SessionFault fault) {
    constexpr std::array<std::string_view, kSessionFaults> names = {
        "too_large", "seen_n_ahead", "started_without_grant", "broken_promise"};
    return names[static_cast<std::size_t>(fault)];
}

}  // namespace tasker::core
