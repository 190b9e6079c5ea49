#include "orchestrator/engine/turns/turn_split.hpp"

namespace tasker::engine {

using ports::DatabaseFault;

void TurnSplit::finish_turn(bool own_work_waits) {
    if (!later_.empty()) {
        current_ = later_.back();
        later_.pop_back();
    } else if (own_work_ == OwnWorkPlace::after_messages && own_work_waits) {
        // Messages that fail again and again must not keep it from its turn.
        current_ = {};
        own_work_ = OwnWorkPlace::alone;
    } else {
        is_finished_ = true;
    }
}

FailedTurn TurnSplit::on_failed(DatabaseFault fault, bool held_own_work, bool claimed) {
    if (fault == DatabaseFault::connection) return FailedTurn::read_back;
    // A server that refuses (no memory, say) may do so because of what was claimed: that is left out first.
    if (fault == DatabaseFault::refused && !claimed) return FailedTurn::read_back;
    // A turn that fails however often it is repeated may stand on a memory that is not the database's: that
    // is read back once before any message is suspected.
    if (fault == DatabaseFault::repeatable && current_.memory == Memory::as_it_was) {
        current_.memory = Memory::read_back;
        return FailedTurn::read_back;
    }
    // A claim waits for no lock.
    if (claimed && fault != DatabaseFault::locked) {
        takes_claims_ = false;
        return FailedTurn::leave_out_claims;
    }
    if (held_own_work) {
        if (current_.messages.empty()) return FailedTurn::postpone_own_work;
        own_work_ = OwnWorkPlace::after_messages;
        return FailedTurn::repeat;
    }
    if (current_.messages.size() > 1) {
        if (own_work_ == OwnWorkPlace::with_messages) own_work_ = OwnWorkPlace::left_out;
        const auto half = current_.messages.size() / 2;
        later_.push_back({current_.messages.subspan(half)});
        current_ = {current_.messages.first(half)};
        return FailedTurn::repeat;
    }
    if (fault == DatabaseFault::locked) return FailedTurn::defer_messages;
    return current_.messages.empty() ? FailedTurn::give_up : FailedTurn::reject_message;
}

}  // namespace tasker::engine
