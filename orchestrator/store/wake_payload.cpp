#include "orchestrator/store/wake_payload.hpp"

#include <charconv>
#include <optional>

namespace tasker::store {
namespace {

// A number without sign from the front of `text`.
template <typename Number>
std::optional<Number> take_number(std::string_view& text) {
    Number number = 0;
    const char* const end = text.data() + text.size();
    const auto [next, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || text.front() == '-') return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(next - text.data()));
    return number;
}

bool take(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

// `1,2`, `1,2;from:PRIORITY:STEP` or `1,2;from:PRIORITY:STEP;shard:N`; nothing when it is anything else.
// Priorities may be negative.
std::optional<ports::Wake> parse_keys(std::string_view text) {
    ports::Wake wake;
    do {
        const auto key = take_number<std::int32_t>(text);
        if (!key) return std::nullopt;
        wake.keys.push_back(*key);
    } while (take(text, ","));
    if (text.empty()) return wake;
    if (!take(text, ";from:")) return std::nullopt;
    const bool negative = take(text, "-");
    const auto priority = take_number<std::int32_t>(text);
    if (!priority || !take(text, ":")) return std::nullopt;
    const auto step_id = take_number<std::int64_t>(text);
    if (!step_id) return std::nullopt;
    wake.from = core::ReadyPosition::of(negative ? -*priority : *priority, *step_id);
    if (text.empty()) return wake;
    if (!take(text, ";shard:")) return std::nullopt;
    wake.shard = take_number<int>(text);
    if (!wake.shard || !text.empty()) return std::nullopt;
    return wake;
}

}  // namespace

ports::Wake parse_wake(std::string_view payload) {
    ports::Wake wake;
    if (payload == "templates") {
        wake.definitions = true;
        return wake;
    }
    if (take(payload, "keys:")) {
        if (auto keys = parse_keys(payload)) return *std::move(keys);
    }
    wake.full_scan = true;
    return wake;
}

}  // namespace tasker::store
