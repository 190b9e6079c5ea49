// The command endpoint: requests of clients, answered at once from memory.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace tasker::engine {

/// The health answer; called on the io thread, so it must read memory only and return at once. With
/// `detailed` it adds what people look at when something is wrong.
using HealthSource = std::function<nlohmann::json(bool detailed)>;

/// Longest request that is read.
inline constexpr std::int64_t kCommandBytesMax = std::int64_t{256} * 1024;

/// Requests answered before everything else gets its turn: a detailed health answer lists every worker.
inline constexpr int kCommandsAtOnce = 16;

/// The JSON reply to one request: {ok: true, …} or {ok: false, error {code, message, field}}. Never throws.
/// Request: {"command": "health_check", "level": "basic" | "detailed"}.
std::string answer_command(std::string_view request, const HealthSource& health);

/// The reply to a request that was not exactly one frame.
std::string answer_malformed_command();

}  // namespace tasker::engine
