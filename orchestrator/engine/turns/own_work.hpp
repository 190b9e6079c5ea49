// What a lane has to write without a message that asks for it: claimed steps that cannot be sent, graces and
// time-outs that are over, sessions that are gone.
//
// It goes into the next turn together with the messages. When its rows are locked it waits by itself for a
// moment, so that somebody who holds a task open delays only this. It is forgotten once a turn with it is
// committed. When the batches are read back, what is about a batch is forgotten, since it is then found again.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "orchestrator/engine/turns/deadlines.hpp"
#include "orchestrator/engine/turns/request_builder.hpp"
#include "orchestrator/engine/turns/turn_draft.hpp"

namespace tasker::engine {

/// How long own work waits after it could not be written.
inline constexpr std::chrono::milliseconds kOwnWorkPause{1000};

/// Whether a turn contains the lane's own work, as far as there is any.
enum class OwnWorkShare { included, left_out };

/// Belongs to its lane's thread.
class OwnWork {
  public:
    void add_unsent(UnsentStep step) { unsent_.push_back(std::move(step)); }
    void add_grace_over(std::string batch_uuid) { graces_over_.push_back(std::move(batch_uuid)); }
    void add_time_out(TimedStep step) { time_outs_.push_back(std::move(step)); }
    void add_gone_session(std::string session) { gone_sessions_.push_back(std::move(session)); }

    bool is_empty() const {
        return unsent_.empty() && graces_over_.empty() && time_outs_.empty() && gone_sessions_.empty();
    }
    /// Its pause, if any, is over.
    bool may_be_written(std::chrono::milliseconds now) const { return now >= not_before_; }
    /// When to begin a turn for it; the distant future when there is nothing.
    std::chrono::milliseconds next() const;

    /// Puts everything into the draft. Nothing is forgotten yet.
    void put_into(TurnDraft& draft) const;
    /// A turn with all of it is committed.
    void forget();
    /// The batches are about to be read back: what is about one of them goes, and sessions that are gone stay.
    void forget_batches();
    /// It could not be written, or should not be at once: not before a pause is over.
    void postpone(std::chrono::milliseconds now) { not_before_ = now + kOwnWorkPause; }

  private:
    std::vector<UnsentStep> unsent_;
    std::vector<std::string> graces_over_;
    std::vector<TimedStep> time_outs_;
    std::vector<std::string> gone_sessions_;
    std::chrono::milliseconds not_before_{0};
};

}  // namespace tasker::engine
