// What a lane has to write without a message that asks for it: claimed steps that cannot be sent, graces and
// time-outs that are over, sessions that are gone.
//
// It goes into the next turn together with the messages. When its rows are locked it is tried by halves, until what
// is locked stands alone and waits for a moment: somebody who holds a task open delays only that. It is forgotten
// once a turn with it is committed. When the batches are read back, what is about a batch is forgotten, since it is then found again.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "orchestrator/engine/turns/deadlines.hpp"
#include "orchestrator/engine/turns/request_builder.hpp"
#include "orchestrator/engine/turns/turn_draft.hpp"

namespace tasker::engine {

/// How long own work waits after it could not be written.
inline constexpr std::chrono::milliseconds kOwnWorkPause{1000};
inline constexpr std::size_t kAllAtOnce = std::numeric_limits<std::size_t>::max();

/// Whether a turn contains the lane's own work, as far as there is any.
enum class OwnWorkShare { included, left_out };

/// Belongs to its lane's thread.
class OwnWork {
  public:
    void add_unsent(UnsentStep step) { items_.emplace_back(std::move(step)); }
    void add_grace_over(std::string batch_uuid) { items_.emplace_back(GraceOver{std::move(batch_uuid)}); }
    void add_time_out(TimedStep step) { items_.emplace_back(std::move(step)); }
    void add_gone_session(std::string session) { items_.emplace_back(GoneSession{std::move(session)}); }

    bool is_empty() const { return items_.empty(); }
    /// Its pause, if any, is over.
    bool may_be_written(std::chrono::milliseconds now) const { return now >= not_before_; }
    /// When to begin a turn for it; the distant future when there is nothing.
    std::chrono::milliseconds next() const;

    /// Puts everything into the draft, or as much of it as is tried at once. Nothing is forgotten yet.
    void put_into(TurnDraft& draft) const;
    /// A turn with what was put into it is committed.
    void forget();
    /// The batches are about to be read back: what is about one of them goes, and sessions that are gone stay.
    void forget_batches();
    /// What was put into the turn could not be written: the first half of it is tried next, or, where it was one
    /// thing, that goes behind all others and waits for a pause.
    void set_aside(std::chrono::milliseconds now);
    /// It should not be written at once: not before a pause is over.
    void postpone(std::chrono::milliseconds now) { not_before_ = now + kOwnWorkPause; }

  private:
    struct GraceOver {
        std::string batch_uuid;
    };
    struct GoneSession {
        std::string session;
    };
    using Item = std::variant<UnsentStep, GraceOver, TimedStep, GoneSession>;

    std::size_t tried() const { return std::min(at_once_, items_.size()); }

    std::vector<Item> items_;
    std::size_t at_once_ = kAllAtOnce;
    std::chrono::milliseconds not_before_{0};
};

}  // namespace tasker::engine
