// The listener: the automatic writer of running tasks. There is one for each lane, each with its connection,
// its mailbox and its batches; none of them knows of the others, apart from the credit that they share.
//
// It takes whatever waits in its mailbox, writes it in one turn (one transaction, one round trip) that also
// claims what became ready, and only then acknowledges and publishes. The database is authoritative; the
// listener's memory of open batches is a cache of it that changes only after a commit. A commit in doubt and
// a lost connection are handled alike: reconnect, read everything back, and run the same messages again; what
// had been committed is judged a duplicate by its guards. Killing this thread at any point loses nothing but
// unacked messages, which workers send again.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "orchestrator/engine/claim_plan.hpp"
#include "orchestrator/engine/handler_keys.hpp"
#include "orchestrator/engine/mailbox.hpp"
#include "orchestrator/engine/open_batches.hpp"
#include "orchestrator/engine/request_builder.hpp"
#include "orchestrator/engine/turn_draft.hpp"
#include "orchestrator/ports/clock.hpp"
#include "orchestrator/ports/credit.hpp"
#include "orchestrator/ports/delivery.hpp"
#include "orchestrator/ports/store.hpp"

namespace tasker::engine {

/// Time-outs of steps that have ended are dropped when more than this are kept.
inline constexpr std::size_t kTimeOutsKept = 10'000;

struct ListenerOptions {
    std::string orchestrator_id;
    std::int64_t epoch = 0;
    int lane = 0;
    int batch_size = 10;
    std::int64_t result_bytes_max = std::int64_t{1024} * 1024;  // of one output
    std::int64_t batch_bytes_max = std::int64_t{16} * 1024 * 1024;
    std::chrono::milliseconds reconcile_grace{5000};
    std::chrono::milliseconds timeout_grace{5000};  // beyond a step's own time-out
    std::chrono::milliseconds suspect_after{3000};  // a pause of our own longer than this moves time-outs
    std::chrono::milliseconds lease{8000};          // what a worker gets to report after such a pause
    std::chrono::milliseconds full_scan_every{5000};
    std::chrono::milliseconds reconnect_max{5000};
};

/// Read by health and metrics from other threads.
struct ListenerCounters {
    std::atomic<std::int64_t> turns{0};
    std::atomic<std::int64_t> messages{0};
    std::atomic<std::int64_t> reports_applied{0};
    std::atomic<std::int64_t> steps_claimed{0};
    std::atomic<std::int64_t> messages_rejected{0};
    std::atomic<std::int64_t> turns_repeated{0};
    std::atomic<std::int64_t> reconnects{0};
    std::atomic<std::int64_t> commits_in_doubt{0};  // of them committed after all
    std::atomic<std::int64_t> orphans{0};
    std::atomic<std::int64_t> hand_backs{0};
    std::atomic<std::int64_t> starts_granted{0};
    std::atomic<std::int64_t> starts_denied{0};
    std::atomic<std::int64_t> discrepancies{0};
    std::atomic<std::int64_t> messages_deferred{0};  // their task was locked; their senders send them again
    std::atomic<std::int64_t> open_batches{0};
    std::atomic<bool> database_reachable{true};  // the service connected before it made us
};

/// Opens a store that already holds the instance lock and goes on with this process's epoch. Throws
/// DatabaseError (connection) when that is not possible now, EpochLost when it never will be again.
using StoreFactory = std::function<std::unique_ptr<ports::Store>(std::int64_t& last_turn)>;

class Listener {
  public:
    struct Surroundings {
        StoreFactory open_store;
        ports::Publisher& publisher;
        ports::CreditPool& credit;
        Mailbox& mailbox;
        const ports::Clock& clock;
        std::function<void(std::vector<std::int64_t>)> tasks_ended;
        const std::atomic<bool>& stopping;
    };

    Listener(ListenerOptions options, Surroundings surroundings);

    /// Opens the store and adopts what is open, before the io thread starts, so that the credit of open
    /// batches is taken when the first session comes. Returns why the database could not be reached, or
    /// nothing; run() then goes on trying.
    std::string prepare();
    /// Runs until the mailbox is closed. Throws EpochLost when another orchestrator has taken over; any other
    /// exception is a defect.
    void run();

    const ListenerCounters& counters() const { return counters_; }

  private:
    void load();
    void recover(const std::string& cause);
    /// Returns true when there is more credit for what waits.
    bool settle(std::vector<core::CreditOffer>& offers, std::vector<core::TakenBatch> taken);
    void adopt_open_batches(const std::vector<ports::StoredBatch>& stored);
    void remember_grace(const OpenBatch& batch);
    void watch_time(OpenBatch& batch);
    void resume_time_outs(OpenBatch& batch, const ports::StoredBatch& stored);
    void watch_plain_time(OpenBatch& batch);
    void forget_time_outs();
    void fire_graces(std::chrono::milliseconds now);
    void fire_time_outs(std::chrono::milliseconds now);
    void look_for_gone_sessions();
    void keep_undelivered(const ports::Inbound& message);
    void keep_running(const ports::Inbound& message);
    void carry_out_commands();
    void tell_workers(const TurnDraft& draft, const ports::TurnResult& result);
    void note_orphans(const TurnDraft& draft, const ports::TurnResult& result);
    std::vector<std::string> batches_of(const std::string& session) const;
    bool settle_doubt();
    bool own_work_due() const {
        return !splitting_ && !own_work_apart_ && around_.clock.boot_time() >= own_work_at_;
    }
    bool has_own_work() const {
        return !unsent_.empty() || !graces_over_.empty() || !timed_out_.empty() || !gone_sessions_.empty();
    }

    std::chrono::milliseconds next_deadline() const;
    void notice(const ports::Inbound& inbound);
    void fire_timers();
    void process(std::span<const ports::Inbound> messages);
    bool attempt(std::span<const ports::Inbound> messages);
    ports::TurnResult run_turn(const ports::TurnInput& input);
    void commit(TurnDraft& draft, const ports::TurnResult& result, std::vector<core::CreditOffer>& offers);
    void publish_claims(const ports::TurnInput& input, const ports::TurnResult& result,
                        std::vector<core::CreditOffer>& offers);
    void update_memory(TurnDraft& draft);
    void update_waiting(const ports::TurnInput& input, const ports::TurnResult& result,
                        const std::vector<core::CreditOffer>& offers);
    void look_for_plain(const ports::TurnInput& input, const ports::TurnResult& result,
                        const std::vector<core::CreditOffer>& offers);
    void note_ended_tasks(const ports::TurnResult& result);
    /// False when the message has to be tried again: it could not even be set aside.
    bool reject_poison(const ports::Inbound& message, const std::string& why);
    const OpenBatch* find_batch(const std::string& batch_uuid);
    TurnDraft new_draft();

    const ListenerOptions options_;
    Surroundings around_;
    std::unique_ptr<ports::Store> store_;
    std::unique_ptr<RequestBuilder> requests_;
    HandlerKeys keys_;
    ClaimPlanner planner_;
    BatchBook open_;
    BatchBook revived_;  // long over, brought back by a late message; dropped after its turn
    std::multimap<std::chrono::milliseconds, std::string> graces_;
    std::multimap<std::chrono::milliseconds, std::pair<std::string, std::int64_t>> time_outs_;
    std::size_t time_outs_compact_at_ = kTimeOutsKept;
    std::vector<std::pair<std::string, std::int64_t>> timed_out_;
    std::vector<std::string> gone_sessions_;
    /// A turn that was sent and whose commit nobody has confirmed: what it would have acknowledged.
    struct Doubt {
        std::int64_t turn = 0;
        std::vector<ports::AckList> acks;
        bool refuses = false;  // something of it still has to be recorded
    };
    std::optional<Doubt> doubt_;
    std::set<std::int32_t> resting_keys_;  // their steps were locked: looked at again at locked_until_
    bool commands_wait_ = false;           // cancellations, drains
    // What this listener wants by itself (time-outs, losses) is left alone until then: its rows were locked.
    std::chrono::milliseconds own_work_at_{0};
    bool own_work_included_ = true;  // in the turn that is being made
    bool own_work_apart_ = false;    // it waits until the messages at hand are done
    // Messages are worked off by halves: what the later ones report must not be timed out by the first.
    bool splitting_ = false;
    std::vector<UnsentStep> unsent_;
    std::vector<std::string> graces_over_;
    std::int64_t turn_ = 0;
    std::chrono::milliseconds due_at_ = std::chrono::milliseconds::max();
    std::chrono::milliseconds full_scan_at_{0};
    std::chrono::milliseconds locked_until_ = std::chrono::milliseconds::max();
    std::optional<std::chrono::milliseconds> recovered_at_;
    bool definitions_changed_ = false;
    bool due_now_ = false;
    bool look_again_ = false;
    std::mt19937_64 random_;
    ListenerCounters counters_;
};

}  // namespace tasker::engine
