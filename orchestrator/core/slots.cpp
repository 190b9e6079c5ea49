#include "orchestrator/core/slots.hpp"

#include <algorithm>
#include <functional>
#include <queue>
#include <utility>

namespace tasker::core {
namespace {

struct Entry {
    double load;
    std::size_t index;
    // std::priority_queue gives the greatest first: smallest load, then smallest index.
    bool operator<(const Entry& other) const {
        return load != other.load ? load > other.load : index > other.index;
    }
};

double load_of(const SessionCredit& session) {
    return static_cast<double>(session.in_flight) / std::max(session.capacity, 1);
}

}  // namespace

std::vector<std::size_t> slot_order(std::vector<SessionCredit> sessions, int run_max, std::size_t slots_max) {
    std::vector<Entry> free;
    free.reserve(sessions.size());
    for (std::size_t i = 0; i < sessions.size(); ++i) {
        if (sessions[i].free > 0) free.push_back({load_of(sessions[i]), i});
    }
    std::priority_queue<Entry> queue(std::less<Entry>{}, std::move(free));
    std::vector<std::size_t> slots;
    while (!queue.empty() && slots.size() < slots_max) {
        const std::size_t index = queue.top().index;
        queue.pop();
        auto& session = sessions[index];
        const int wanted = std::clamp(session.capacity / 2 + session.capacity % 2, 1, run_max);
        const auto room = static_cast<int>(slots_max - slots.size());
        const int run = std::min({wanted, session.free, room});
        slots.insert(slots.end(), static_cast<std::size_t>(run), index);
        session.free -= run;
        session.in_flight += run;
        if (session.free > 0) queue.push({load_of(session), index});
    }
    return slots;
}

}  // namespace tasker::core
