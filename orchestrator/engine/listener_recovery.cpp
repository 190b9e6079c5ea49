// The listener's memory read back from the database: at start, and after a lost connection.
#include <algorithm>
#include <utility>

#include "orchestrator/engine/listener.hpp"
#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/util/log.hpp"

namespace tasker::engine {

namespace log = util::log;

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kReconnectFirst{50};
// A connection lost again within this time was not really back.
constexpr milliseconds kRecoverySettles{1000};
// Why it cannot come back is said soon (it need not be the server), and then from time to time.
constexpr milliseconds kFirstWord{1000};
constexpr milliseconds kNextWord{10000};

}  // namespace

void Listener::load() {
    keys_.replace(store_->load_handler_keys());
    keys_.mark_all_waiting();
    planner_.forget_sessions();
    if (!requests_) {
        requests_ =
            std::make_unique<RequestBuilder>(protocol::Envelope{options_.orchestrator_id, options_.epoch},
                                             store_->installation_uuid(), options_.batch_bytes_max);
    }
    adopt_open_batches(store_->load_open_batches());
    due_now_ = true;
    full_scan_at_ = around_.clock.boot_time() + options_.full_scan_every;
    counters_.database_reachable = true;
}

void Listener::adopt_open_batches(const std::vector<ports::StoredBatch>& stored) {
    open_.clear();
    revived_.clear();
    graces_.clear();
    graces_over_.clear();
    time_outs_.clear();
    timed_out_.clear();
    unsent_.clear();
    std::vector<ports::AdoptedBatch> adopted;
    for (const auto& row : stored) {
        auto batch = open_batch_from(row);
        for (std::size_t i = 0; i < row.steps.size(); ++i) {
            const auto facts = requests_->templates().get(*store_, row.steps[i].named_task_id,
                                                          row.steps[i].template_revision);
            const auto* step_facts = find_step(*facts, row.steps[i].step_name);
            if (step_facts) batch.steps[i].backoff = step_facts->backoff;
        }
        if (!core::is_terminal(batch.state)) {
            auto outbound = requests_->rebuild(*store_, row, keys_, unsent_);
            if (!outbound.steps.empty()) adopted.push_back({std::move(outbound), batch.accepted});
        }
        if (core::is_terminal(batch.state) || batch.completion) {
            batch.grace_ends = around_.clock.boot_time() + options_.reconcile_grace;
        }
        remember_grace(batch);
        resume_time_outs(batch, row);
        open_.put(std::move(batch));
    }
    if (!stored.empty()) {
        log::info("open batches found", {{"batches", stored.size()}, {"in_flight", adopted.size()}});
    }
    around_.publisher.adopt(options_.lane, std::move(adopted));
    counters_.open_batches = static_cast<std::int64_t>(open_.size());
}

// The worker may have reported meanwhile, to nobody: it gets a lease to do so again.
void Listener::resume_time_outs(OpenBatch& batch, const ports::StoredBatch& stored) {
    const auto now = around_.clock.boot_time();
    for (std::size_t i = 0; i < batch.steps.size(); ++i) {
        auto& step = batch.steps[i];
        if (!step.started) continue;
        const auto allowed = milliseconds(step.timeout_ms) + options_.timeout_grace;
        step.started_at =
            std::max(now - milliseconds(stored.steps[i].started_ms_ago), now + options_.lease - allowed);
    }
    watch_plain_time(batch);
    watch_time(batch);
}

void Listener::recover(const std::string& cause) {
    counters_.database_reachable = false;
    store_.reset();
    around_.credit.set_away(options_.lane, true);
    const auto since = around_.clock.boot_time();
    log::error(
        "database connection lost; results are not acknowledged and nothing is published until it is back",
        {{"cause", cause}});
    auto pause = kReconnectFirst;
    // A database that answers and fails again at once (a full disk, say) must not be asked at full speed.
    if (recovered_at_ && since - *recovered_at_ < kRecoverySettles) around_.mailbox.wait_closed(pause * 10);
    auto next_word = since + kFirstWord;
    while (!around_.stopping) {
        try {
            store_ = around_.open_store(turn_);
            load();
            around_.credit.set_away(options_.lane, false);
            ++counters_.reconnects;
            recovered_at_ = around_.clock.boot_time();
            log::info("database connection is back",
                      {{"away_ms", (around_.clock.boot_time() - since).count()}});
            return;
        } catch (const ports::DatabaseError& error) {
            store_.reset();
            if (around_.clock.boot_time() >= next_word) {
                log::error(
                    "database still not reachable",
                    {{"cause", error.what()}, {"away_ms", (around_.clock.boot_time() - since).count()}});
                next_word = around_.clock.boot_time() + kNextWord;
            }
        }
        // Nothing signals that a server is back: this is the one place that has to try again by the clock.
        around_.mailbox.wait_closed(pause);
        pause = std::min(pause * 2, options_.reconnect_max);
    }
}

}  // namespace tasker::engine
