// The questions one may ask the registry; nothing here changes it, apart from taking what it collected.
#include <algorithm>
#include <utility>

#include "orchestrator/core/session_registry.hpp"

namespace tasker::core {

bool SessionRegistry::serves(std::string_view name, std::string_view namespace_name,
                             std::string_view handler_class) const {
    if (name.empty()) return plain_.serves(handler_class);
    const Session* session = find(name);
    if (session == nullptr) return false;
    const auto& removed = session->removed_handlers;
    return matches_any(session->spec.namespaces, namespace_name) &&
           matches_any(session->spec.handlers, handler_class) &&
           std::find(removed.begin(), removed.end(), handler_class) == removed.end();
}

std::optional<SessionState> SessionRegistry::state_of(std::string_view name) const {
    const Session* session = find(name);
    if (session == nullptr) return std::nullopt;
    return session->state;
}

bool SessionRegistry::is_ready(std::string_view name) const {
    return state_of(name) == SessionState::ready;
}

bool SessionRegistry::is_gone(std::string_view name, milliseconds now) const {
    const Session* session = find(name);
    return session == nullptr ? now >= returns_until_ : session->state == SessionState::lost;
}

std::vector<SessionView> SessionRegistry::snapshot(milliseconds now) const {
    std::vector<SessionView> views;
    views.reserve(sessions_.size());
    for (const auto& [name, kept] : sessions_) {
        const Session& session = *kept;
        const std::int32_t limit = credit_limit(session.spec);
        const bool takes = session.state == SessionState::ready && !session.paused;
        views.push_back({session.spec, session.state, session.subscribed, now - session.last_heard,
                         session.in_flight, session.reserved, limit,
                         takes ? std::max(0, limit - session.in_flight) : 0});
        // What it has refused as unknown it does not serve, whatever it announced; under a wildcard only
        // "!name" can say so.
        auto& handlers = views.back().spec.handlers;
        for (const std::string& removed : session.removed_handlers) {
            std::erase(handlers, removed);
            if (matches_any(handlers, removed)) handlers.push_back("!" + removed);
        }
    }
    return views;
}

std::vector<SessionChange> SessionRegistry::take_changes() {
    return std::exchange(changes_, {});
}

bool SessionRegistry::take_credit_appeared() {
    return std::exchange(credit_appeared_, false);
}

std::optional<std::string> SessionRegistry::sanity_check() const {
    std::int64_t total = flights_.count_held("");
    std::size_t hungry = 0;
    for (const auto& [name, kept] : sessions_) {
        const Session& session = *kept;
        const std::string where = "session " + name + ": ";
        const std::int32_t held = flights_.count_held(name);
        if (session.spec.session != name || session.name != name) return where + "kept under another name";
        if (session.in_flight != held) {
            return where + "in flight " + std::to_string(session.in_flight) + ", its batches hold " +
                   std::to_string(held);
        }
        std::int32_t reserved = 0;
        const auto by_lane = flights_.count_held_by_lane(name);
        for (int lane = 0; lane < kLanesMax; ++lane) {
            const auto& share = session.shares[lane];
            reserved += share.reserved;
            if (share.hungry != ((session.hungry_lanes >> lane & 1U) != 0))
                return where + "whether lane " + std::to_string(lane) + " wants more is kept wrongly";
            if (share.in_flight != by_lane[static_cast<std::size_t>(lane)] || share.reserved < 0) {
                return where + "lane " + std::to_string(lane) + " is said to have " +
                       std::to_string(share.in_flight) + " in flight and " + std::to_string(share.reserved) +
                       " reserved, its batches hold " +
                       std::to_string(by_lane[static_cast<std::size_t>(lane)]);
            }
        }
        if (reserved != session.reserved) return where + "its lanes reserved " + std::to_string(reserved);
        if (session.reserved < 0) return where + "reserved " + std::to_string(session.reserved);
        if (session.excess < 0) return where + "excess " + std::to_string(session.excess);
        if (session.in_flight + session.reserved > credit_limit(session.spec) + session.excess) {
            return where + std::to_string(session.in_flight) + " in flight and " +
                   std::to_string(session.reserved) + " reserved exceed the limit of " +
                   std::to_string(credit_limit(session.spec));
        }
        if (session.state == SessionState::lost && held != 0) return where + "lost, but holds credit";
        if (session.state == SessionState::ready && !session.subscribed)
            return where + "ready, not subscribed";
        if (session.hungry_lanes != 0 && !hungry_.contains(kept.get()))
            return where + "wanted, but not listed";
        if (session.hungry_lanes != 0) ++hungry;
        total += held;
    }
    if (hungry != hungry_.size()) return "the sessions that a lane wants more of are miscounted";
    // Batches of sessions that have not said hello yet hold credit too.
    if (total > in_flight_total_) return "the sum of credit in flight is too small";
    if (flights_.count_all_held() != in_flight_total_) {
        return "credit in flight is " + std::to_string(in_flight_total_) + ", the batches hold " +
               std::to_string(flights_.count_all_held());
    }
    for (const std::string& batch_uuid : plain_.open_batches()) {
        if (flights_.session_of(batch_uuid) == nullptr)
            return "open plain batch " + batch_uuid + " is not known";
    }
    return std::nullopt;
}

}  // namespace tasker::core
