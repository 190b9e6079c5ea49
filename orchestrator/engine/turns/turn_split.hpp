// The messages of one round on their way through turns. Usually they make one turn; this class says how to go
// on when that turn fails.
//
// A failure that may be nobody's fault (the connection, a memory that is behind) is answered by reading
// everything back. Then claims are left out for the rest of the round: what is claimed has nothing to do with
// what was reported, and must not make a report look bad. Then the lane's own work is set apart, since it may
// be what failed. Then the messages are worked off by halves, until what cannot be stored stands alone and all
// others get through. While that goes on, own work is left out: what the last half reports must not be timed
// out by the first.
#pragma once

#include <span>
#include <vector>

#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/ports/delivery.hpp"

namespace tasker::engine {

/// Where the lane's own work goes in this round.
enum class OwnWorkPlace {
    with_messages,   // in the one turn of all messages
    left_out,        // not in this round: the messages are in halves
    after_messages,  // in a turn of its own, once the messages are done
    alone            // in this turn, which has no messages
};

/// What has to be done about a turn that failed.
enum class FailedTurn {
    read_back,          // reconnect and read everything back; then the same turn again
    repeat,             // attempt what is at hand now
    leave_out_claims,   // they may be what failed: the same turn without them
    postpone_own_work,  // it cannot be written now; then the same turn without it
    defer_messages,     // their task is locked: leave them to their senders
    reject_message,     // the one message cannot be stored
    give_up             // a turn without messages failed
};

/// One round. The messages must outlive it. Usage: attempt a turn of messages() until is_finished(); after
/// each, call finish_turn() or on_failed().
class TurnSplit {
  public:
    explicit TurnSplit(std::span<const ports::Inbound> messages) : current_{messages, Memory::as_it_was} {}

    bool is_finished() const { return is_finished_; }
    /// Those of the turn to attempt now; may be empty.
    std::span<const ports::Inbound> messages() const { return current_.messages; }
    /// Whether own work may be part of the turn to attempt now.
    bool takes_own_work() const {
        return own_work_ == OwnWorkPlace::with_messages || own_work_ == OwnWorkPlace::alone;
    }

    /// Whether that turn may claim.
    bool takes_claims() const { return takes_claims_; }

    /// The turn is over: committed, or its messages were set aside. `own_work_waits`: there is some left.
    void finish_turn(bool own_work_waits);
    /// The turn failed; `held_own_work`: it contained some; `claimed`: it had slots to fill. After `repeat`
    /// messages() may be others. The last three are followed by finish_turn().
    FailedTurn on_failed(ports::DatabaseFault fault, bool held_own_work, bool claimed);

  private:
    enum class Memory { as_it_was, read_back };
    struct Part {
        std::span<const ports::Inbound> messages;
        Memory memory = Memory::as_it_was;
    };

    Part current_;
    std::vector<Part> later_;  // the last one comes next
    OwnWorkPlace own_work_ = OwnWorkPlace::with_messages;
    bool takes_claims_ = true;
    bool is_finished_ = false;
};

}  // namespace tasker::engine
