#include "orchestrator/engine/turns/lane_connection.hpp"

#include <algorithm>
#include <utility>

#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;

namespace {

using std::chrono::milliseconds;

// A turn that deadlocks is repeated; more than this in a row means that something else is wrong.
constexpr int kRepeatsMax = 20;
constexpr milliseconds kReconnectFirst{50};
// A connection lost again within this time was not really back.
constexpr milliseconds kReopenedSettles{1000};
constexpr milliseconds kRestFirst{500};
// Why it cannot come back is logged soon (it need not be the server), and then from time to time.
constexpr milliseconds kFirstLog{1000};
constexpr milliseconds kNextLog{10000};

}  // namespace

void LaneConnection::connect() {
    store_ = deps_.open_store(turn_);
    load_(*store_);
    deps_.counters.database_reachable = true;
}

std::string LaneConnection::open() {
    try {
        connect();
    } catch (const ports::DatabaseError& error) {
        if (!ports::may_pass(error.fault())) throw;
        store_.reset();
        return error.what();
    }
    return "";
}

// A database that answers and fails again at once (a full disk, a faulty function) is given time to rest.
void LaneConnection::rest_if_failing(milliseconds now) {
    if (!reopened_at_ || now - *reopened_at_ >= kReopenedSettles) {
        rest_ = milliseconds(0);
        return;
    }
    rest_ = std::min(std::max(rest_ * 2, kRestFirst), std::max(options_.database.reconnect_max, kRestFirst));
    deps_.mailbox.wait_closed(rest_);
}

void LaneConnection::reopen(const ports::DatabaseError& failure) {
    const bool refused = failure.fault() == ports::DatabaseFault::refused;
    deps_.counters.database_reachable = false;
    store_.reset();
    deps_.credit.set_away(options_.lane, true);
    const auto since = deps_.clock.boot_time();
    log::error(
        refused ? "the database refuses this lane's statements; results are not acknowledged and nothing is "
                  "published until it takes them"
                : "database connection lost; results are not acknowledged and nothing is published until "
                  "it is back",
        {{"cause", failure.what()}});
    auto pause = kReconnectFirst;
    rest_if_failing(since);
    auto next_log = since + kFirstLog;
    while (!deps_.stopping) {
        try {
            connect();
            deps_.credit.set_away(options_.lane, false);
            ++deps_.counters.reconnects;
            reopened_at_ = deps_.clock.boot_time();
            log::info("database connection is back",
                      {{"away_ms", (deps_.clock.boot_time() - since).count()}});
            return;
        } catch (const ports::DatabaseError& error) {
            store_.reset();
            if (deps_.clock.boot_time() >= next_log) {
                log::error(error.fault() == ports::DatabaseFault::refused
                               ? "the database still refuses to serve"
                               : "database still not reachable",
                           {{"cause", error.what()}, {"away_ms", (deps_.clock.boot_time() - since).count()}});
                next_log = deps_.clock.boot_time() + kNextLog;
            }
        }
        // Nothing signals that a server is back: this is the one place that has to try again by the clock.
        deps_.mailbox.wait_closed(pause);
        pause = std::min(pause * 2, options_.database.reconnect_max);
    }
}

ports::TurnResult LaneConnection::run_turn(const ports::TurnInput& input, std::vector<ports::AckList> acks,
                                           bool refuses) {
    doubt_ = Doubt{turn_ + 1, std::move(acks), refuses};
    for (int repeat = 0;; ++repeat) {
        try {
            auto result = store_->run_turn(turn_ + 1, input);
            ++turn_;
            ++deps_.counters.turns;
            deps_.counters.messages += static_cast<std::int64_t>(input.messages.size());
            return result;
        } catch (const ports::DatabaseError& error) {
            if (error.fault() != ports::DatabaseFault::repeatable || repeat >= kRepeatsMax) throw;
            ++deps_.counters.turns_repeated;
            log::info("turn repeated", {{"cause", error.what()}});
        }
    }
}

std::optional<std::vector<ports::AckList>> LaneConnection::resolve_commit_in_doubt() {
    auto doubt = std::exchange(doubt_, std::nullopt);
    if (!doubt || turn_ < doubt->turn || doubt->refuses) return std::nullopt;
    ++deps_.counters.commits_in_doubt;
    log::info("the turn in doubt had been committed", {{"turn", doubt->turn}});
    return std::move(doubt->acks);
}

}  // namespace tasker::engine
