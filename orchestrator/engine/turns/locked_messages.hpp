// Messages that could not be written because somebody holds the rows of their steps (a console left open).
//
// Each try costs the lane a lock_timeout, and in a turn with others one for each half. So a message about such a
// step is taken out of its round, and tried by itself, one of all of them in a while. The others are left to their
// senders, which send them again.
#pragma once

#include <chrono>
#include <string>
#include <unordered_map>
#include <vector>

#include "orchestrator/ports/delivery.hpp"

namespace tasker::engine {

/// One try of a message that was locked before costs 200 ms: a fifth of the lane at most.
inline constexpr std::chrono::milliseconds kTryLockedEvery{1000};
/// A step of which nothing came for so long is forgotten.
inline constexpr std::chrono::milliseconds kLockedKept{60'000};

/// Belongs to its lane's thread.
class LockedMessages {
  public:
    using milliseconds = std::chrono::milliseconds;

    /// It was locked just now.
    void add(const ports::Inbound& message, milliseconds now);
    /// Takes those about locked steps out of `messages`; the others keep their order.
    std::vector<ports::Inbound> take_out(std::vector<ports::Inbound>& messages, milliseconds now);
    /// True at most once in kTryLockedEvery, as long as tries fail: one of them may be tried.
    bool may_try(milliseconds now);
    /// It was tried: unless it was locked again (`add`), its step is like any other.
    void end_try(const ports::Inbound& message, milliseconds began);

    bool is_empty() const { return locked_.empty(); }

  private:
    std::unordered_map<std::string, milliseconds> locked_;  // when, by batch and step
    milliseconds next_try_{0};
};

}  // namespace tasker::engine
