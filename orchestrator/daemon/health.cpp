#include "orchestrator/daemon/health.hpp"

#include <algorithm>
#include <array>
#include <atomic>

namespace tasker {
namespace {

using engine::IoCounters;
using engine::ListenerCounters;

template <typename Counters>
struct Named {
    const char* name;
    std::atomic<std::int64_t> Counters::*counter;
};

constexpr std::array kLaneCounters{
    Named<ListenerCounters>{"turns", &ListenerCounters::turns},
    Named<ListenerCounters>{"messages", &ListenerCounters::messages},
    Named<ListenerCounters>{"reports_applied", &ListenerCounters::reports_applied},
    Named<ListenerCounters>{"steps_claimed", &ListenerCounters::steps_claimed},
    Named<ListenerCounters>{"messages_rejected", &ListenerCounters::messages_rejected},
    Named<ListenerCounters>{"messages_deferred", &ListenerCounters::messages_deferred},
    Named<ListenerCounters>{"turns_repeated", &ListenerCounters::turns_repeated},
    Named<ListenerCounters>{"reconnects", &ListenerCounters::reconnects},
    Named<ListenerCounters>{"commits_in_doubt", &ListenerCounters::commits_in_doubt},
    Named<ListenerCounters>{"orphans", &ListenerCounters::orphans},
    Named<ListenerCounters>{"hand_backs", &ListenerCounters::hand_backs},
    Named<ListenerCounters>{"starts_granted", &ListenerCounters::starts_granted},
    Named<ListenerCounters>{"starts_denied", &ListenerCounters::starts_denied},
    Named<ListenerCounters>{"discrepancies", &ListenerCounters::discrepancies},
    Named<ListenerCounters>{"open_batches", &ListenerCounters::open_batches},
};

constexpr std::array kIoCounters{
    Named<IoCounters>{"batches_sent", &IoCounters::batches_sent},
    Named<IoCounters>{"batches_resent", &IoCounters::batches_resent},
    Named<IoCounters>{"batches_undelivered", &IoCounters::batches_undelivered},
    Named<IoCounters>{"sends_blocked", &IoCounters::sends_blocked},
    Named<IoCounters>{"reports_received", &IoCounters::reports_received},
    Named<IoCounters>{"reports_dropped", &IoCounters::reports_dropped},
    Named<IoCounters>{"malformed", &IoCounters::malformed},
    Named<IoCounters>{"malformed_dropped", &IoCounters::malformed_dropped},
    Named<IoCounters>{"frames_flooded", &IoCounters::frames_flooded},
    Named<IoCounters>{"connections_cut", &IoCounters::connections_cut},
    Named<IoCounters>{"heartbeats_received", &IoCounters::heartbeats_received},
    Named<IoCounters>{"credit_in_flight", &IoCounters::credit_in_flight},
};

nlohmann::json lane_sums(const std::vector<const ListenerCounters*>& lanes) {
    nlohmann::json sums = nlohmann::json::object();
    for (const auto& [name, counter] : kLaneCounters) {
        std::int64_t sum = 0;
        for (const auto* counters : lanes) sum += (counters->*counter).load();
        sums[name] = sum;
    }
    return sums;
}

nlohmann::json lane_by_lane(const std::vector<const ListenerCounters*>& lanes) {
    auto list = nlohmann::json::array();
    for (const auto* counters : lanes) {
        nlohmann::json lane = {{"lane", list.size()},
                               {"database", counters->database_reachable ? "reachable" : "unreachable"}};
        for (const auto& [name, counter] : kLaneCounters) lane[name] = (counters->*counter).load();
        list.push_back(std::move(lane));
    }
    return list;
}

nlohmann::json worker_list(const std::vector<core::SessionView>& sessions) {
    auto workers = nlohmann::json::array();
    for (const auto& view : sessions) {
        workers.push_back({{"session", view.spec.session},
                           {"worker_id", view.spec.worker_id},
                           {"language", view.spec.language},
                           {"state", core::to_text(view.state)},
                           {"in_flight", view.in_flight},
                           {"capacity", view.spec.capacity}});
    }
    return workers;
}

}  // namespace

nlohmann::json health_document(const HealthFacts& facts, bool detailed) {
    const bool reachable = std::all_of(facts.lanes.begin(), facts.lanes.end(),
                                       [](const auto* lane) { return lane->database_reachable.load(); });
    nlohmann::json document = {{"status", reachable ? "healthy" : "degraded"},
                               {"database", reachable ? "reachable" : "unreachable"},
                               {"instance", facts.instance},
                               {"epoch", facts.epoch},
                               {"uptime_ms", facts.uptime.count()}};
    if (!detailed) return document;
    document["listener"] = lane_sums(facts.lanes);
    document["lanes"] = lane_by_lane(facts.lanes);
    auto& io = document["io"] = nlohmann::json::object();
    for (const auto& [name, counter] : kIoCounters) io[name] = (facts.io.*counter).load();
    document["workers"] = worker_list(facts.sessions());
    return document;
}

nlohmann::json standby_health_document(const std::string& instance) {
    return {{"status", "standby"}, {"database", "reachable"}, {"instance", instance}};
}

}  // namespace tasker
