#include "orchestrator/core/sessions/view.hpp"

#include <algorithm>

namespace tasker::core {
namespace {

void leave_out_removed(std::vector<std::string>& handlers, const std::vector<std::string>& removed) {
    for (const std::string& name : removed) {
        std::erase(handlers, name);
        if (matches_any(handlers, name)) handlers.push_back("!" + name);
    }
}

}  // namespace

std::vector<SessionView> list_sessions(const SessionLife& life, const CreditLedger& ledger,
                                       milliseconds now) {
    std::vector<SessionView> views;
    views.reserve(life.sessions().size());
    for (const auto& [name, session] : life.sessions()) {
        SessionView& view = views.emplace_back();
        view.spec = session.spec;
        view.state = session.state;
        view.subscribed = session.subscribed;
        view.faults = session.faults;
        view.heartbeat_age = now - session.last_heard;
        if (const CreditAccount* account = ledger.find(name)) {
            view.in_flight = account->in_flight;
            view.reserved = account->reserved;
            view.limit = account->limit;
            if (account->state == AccountState::open)
                view.free = std::max(0, account->limit - account->in_flight);
        }
        leave_out_removed(view.spec.handlers, session.removed_handlers);
    }
    return views;
}

}  // namespace tasker::core
