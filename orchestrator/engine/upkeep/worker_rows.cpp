#include "orchestrator/engine/upkeep/worker_rows.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace tasker::engine {
namespace {

bool is_same_but_for_age(const core::SessionView& a, const core::SessionView& b) {
    return a.state == b.state && a.in_flight == b.in_flight && a.free == b.free && a.limit == b.limit &&
           a.faults == b.faults && a.spec == b.spec;
}

}  // namespace

std::vector<core::SessionView> WorkerRows::take_due(std::vector<core::SessionView> sessions) {
    ++round_;
    std::vector<core::SessionView> due;
    std::vector<std::pair<std::uint64_t, std::size_t>> unchanged;  // when it was written, which
    std::map<std::string, Written> written;
    for (std::size_t i = 0; i < sessions.size(); ++i) {
        const auto& id = sessions[i].spec.session;
        auto before = written_.extract(id);
        if (!before.empty() && is_same_but_for_age(before.mapped().view, sessions[i])) {
            unchanged.emplace_back(before.mapped().round, i);
            written.insert(std::move(before));
        } else {
            written[id] = {sessions[i], round_};
            due.push_back(sessions[i]);
        }
    }
    const auto count = std::min(kRefreshedAtOnce, unchanged.size());
    std::partial_sort(unchanged.begin(), unchanged.begin() + static_cast<std::ptrdiff_t>(count),
                      unchanged.end());
    for (std::size_t i = 0; i < count; ++i) {
        auto& session = sessions[unchanged[i].second];
        written.at(session.spec.session).round = round_;
        due.push_back(std::move(session));
    }
    written_ = std::move(written);
    return due;
}

}  // namespace tasker::engine
