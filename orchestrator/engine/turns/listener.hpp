// The listener: the automatic writer of running tasks. There is one for each lane, each with its connection,
// its mailbox and its batches; none of them knows of the others, apart from the credit that they share.
//
// It takes whatever waits in its mailbox, writes it in one turn (one transaction, one round trip) that also
// claims what became ready, and only then acknowledges and publishes. The database is authoritative; the
// listener's memory of open batches is a cache of it that changes only after a commit. A commit in doubt and
// a lost connection are handled alike: reconnect, read everything back, and run the same messages again; what
// had been committed is judged a duplicate by its guards. Killing this thread at any point loses nothing but
// unacked messages, which workers send again.
//
// This class is the loop and the order of things in a turn; listener_failures.cpp is about turns that fail, and
// listener_claims.cpp about claims that do. Its parts: LaneConnection (the database), LaneMemory (open batches),
// TurnSplit (turns that fail), TurnDraft (what messages mean), Claims (what is claimed), Deadlines (time), OwnWork
// (what it writes by itself), TurnEffects (what a committed turn has for others).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "orchestrator/engine/turns/claims.hpp"
#include "orchestrator/engine/turns/deadlines.hpp"
#include "orchestrator/engine/turns/lane_connection.hpp"
#include "orchestrator/engine/turns/lane_memory.hpp"
#include "orchestrator/engine/turns/locked_messages.hpp"
#include "orchestrator/engine/turns/mailbox.hpp"
#include "orchestrator/engine/turns/options.hpp"
#include "orchestrator/engine/turns/own_work.hpp"
#include "orchestrator/engine/turns/turn_draft.hpp"
#include "orchestrator/engine/turns/turn_effects.hpp"
#include "orchestrator/engine/turns/turn_split.hpp"
#include "orchestrator/ports/clock.hpp"
#include "orchestrator/ports/credit.hpp"
#include "orchestrator/ports/delivery.hpp"
#include "orchestrator/ports/store.hpp"

namespace tasker::engine {

class Listener {
  public:
    struct Dependencies {
        StoreFactory open_store;
        ports::Publisher& publisher;
        ports::CreditPool& credit;
        Mailbox& mailbox;
        const ports::Clock& clock;
        std::function<void(std::vector<std::int64_t>)> tasks_ended;
        const std::atomic<bool>& stopping;
    };

    Listener(ListenerOptions options, Dependencies dependencies);

    /// Opens the store and adopts what is open, before the io thread starts, so that the credit of open
    /// batches is taken when the first session comes. Returns why the database could not be reached, or
    /// nothing; run() then goes on trying.
    std::string prepare() { return connection_.open(); }
    /// Runs until the mailbox is closed. Throws EpochLost when another orchestrator has taken over; any other
    /// exception is a defect.
    void run();

    const ListenerCounters& counters() const { return counters_; }

  private:
    /// What the next turn is to do besides its messages.
    struct NextTurn {
        bool reads_definitions = false;
        bool moves_due = false;        // retries and held tasks whose time has come
        bool reads_commands = false;   // cancellations and drains that operators want
        bool follows_at_once = false;  // claims were left out, or a suspect was tried
    };
    /// What a turn may claim.
    struct ClaimScope {
        enum class Kind { all, none, trial } kind = Kind::all;
        SuspectKeys::Trial trial = {};
        bool builds_requests = true;  // else what is claimed is read by itself afterwards
    };
    /// What the last turn that was attempted wanted to claim.
    struct LastClaims {
        bool any = false;                // slots to fill, or retries to move
        std::vector<std::int32_t> keys;  // none: nobody has credit for any
        bool left_more = false;          // it was committed, and steps of them still wait
    };
    /// One attempt: what is to be written, and the credit that it holds.
    struct Turn {
        TurnDraft draft;
        OwnWorkShare own_work = OwnWorkShare::left_out;
        std::vector<core::CreditOffer> offers = {};
        ClaimScope scope = {};
    };

    void load(ports::Store& store);

    // One round.
    std::chrono::milliseconds next_round_at() const;
    void prepare_for(const ports::Inbound& inbound);
    void fire_deadlines();
    void end_grace(const std::string& batch_uuid);
    void look_for_gone_sessions();
    void work_off(std::span<const ports::Inbound> messages);
    void work_off_locked(std::span<const ports::Inbound> messages);

    // One turn.
    void attempt(std::span<const ports::Inbound> messages, OwnWorkShare own_work, const ClaimScope& scope);
    Turn draft_turn(std::span<const ports::Inbound> messages, OwnWorkShare own_work, const ClaimScope& scope);
    bool plan_claims(Turn& turn);
    void write(Turn& turn);
    void commit(Turn& turn, ports::TurnResult& result);
    bool record_rejected(const std::vector<ports::RejectedMessage>& rejected);
    void watch_retries(const ports::TurnInput& input, const ports::TurnResult& result);
    void take_over(Turn& turn);
    void publish_claims(Turn& turn, ports::TurnResult& result);
    void read_requests(std::vector<ports::ClaimedStep>& claims);
    void carry_out_commands();

    // Claims that failed: listener_claims.cpp.
    void watch_lost_claims();
    void leave_out_claims(const std::string& cause);
    void judge_claims();
    void try_suspect();
    void handle_failed_trial(const SuspectKeys::Trial& trial, const ports::DatabaseError& error);
    void find_culprit(const SuspectKeys::Trial& trial, const std::string& cause);
    void keep_back(const SuspectKeys::Trial& trial, const std::string& cause);

    // A turn that failed: listener_failures.cpp.
    void handle_failure(TurnSplit& split, const ports::DatabaseError& error, bool held_own_work);
    void read_back(TurnSplit& split, const ports::DatabaseError& failure);
    void defer(std::span<const ports::Inbound> messages, const std::string& cause);
    void leave_to_senders(std::span<const ports::Inbound> messages);
    void keep_undelivered(const ports::Undelivered& undelivered);
    void keep_running(const ports::StepRunning& running);
    void keep_asked(const ports::StartRequested& request);
    void reopen(const ports::Report& report);
    void reject_poison(TurnSplit& split, const ports::Inbound& message, const std::string& cause);

    const ListenerOptions options_;
    const Dependencies deps_;
    ListenerCounters counters_;
    LaneConnection connection_;
    Deadlines deadlines_;
    OwnWork own_work_;
    LaneMemory memory_;
    Claims claims_;
    TurnEffects effects_;
    LockedMessages locked_;
    NextTurn next_turn_;
    LastClaims last_claims_;
    std::vector<std::int32_t> under_suspicion_;  // of a turn that is being repeated without claims
    int claims_lost_ = 0;                        // turns in a row that claimed and ended in a lost connection
    std::chrono::milliseconds due_pause_{0};
    std::chrono::milliseconds rejected_not_before_{0};  // their table was locked, or refused them
    std::mt19937_64 random_;
};

}  // namespace tasker::engine
