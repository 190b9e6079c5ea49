// Every cell of the session table: state × event.
#include "orchestrator/core/session_states.hpp"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>

namespace tasker::core {
namespace {

using S = SessionState;
using E = SessionEvent;

constexpr std::array<E, kSessionEvents> kEvents = {
    E::hello,       E::probe_answered, E::subscribed,    E::unsubscribed, E::heard,  E::silence,
    E::lease_ended, E::grace_ended,    E::batch_ignored, E::drain,        E::goodbye};

// One row per state, one column per event in the order above; "-" means that nothing happens.
struct Row {
    S from;
    std::array<const char*, kSessionEvents> to;
};
constexpr std::array<Row, kSessionStates> kExpected = {{
    // hello, probe_answered, subscribed, unsubscribed, heard, silence, lease, grace, ignored, drain, goodbye
    {S::greeted,
     {"greeted", "ready", "greeted", "suspect", "greeted", "suspect", "lost", "lost", "suspect", "draining",
      "lost"}},
    {S::ready,
     {"greeted", "ready", "greeted", "suspect", "ready", "suspect", "lost", "lost", "suspect", "draining",
      "lost"}},
    {S::suspect,
     {"greeted", "ready", "suspect", "suspect", "suspect", "suspect", "lost", "lost", "suspect", "draining",
      "lost"}},
    {S::lost, {"greeted", "-", "-", "-", "greeted", "-", "-", "-", "-", "-", "-"}},
    {S::draining,
     {"draining", "draining", "draining", "draining", "draining", "draining", "lost", "lost", "draining",
      "draining", "lost"}},
}};

TEST(SessionStates, EveryCellOfTheTable) {
    for (const Row& row : kExpected) {
        for (std::size_t i = 0; i < kEvents.size(); ++i) {
            const auto next = next_state(row.from, kEvents[i]);
            EXPECT_EQ(next ? to_text(*next) : "-", row.to[i])
                << to_text(row.from) << " × " << to_text(kEvents[i]);
        }
    }
}

TEST(SessionStates, OnlyAnAnsweredProbeMakesReady) {
    for (const Row& row : kExpected) {
        for (const E event : kEvents) {
            if (row.from == S::ready || next_state(row.from, event) != S::ready) continue;
            EXPECT_EQ(event, E::probe_answered) << to_text(row.from);
        }
    }
}

TEST(SessionStates, EveryStateAndEventHasItsOwnWord) {
    std::map<std::string_view, int> words;
    for (const Row& row : kExpected) ++words[to_text(row.from)];
    EXPECT_EQ(words.size(), static_cast<std::size_t>(kSessionStates));
    words.clear();
    for (const E event : kEvents) ++words[to_text(event)];
    EXPECT_EQ(words.size(), static_cast<std::size_t>(kSessionEvents));
}

}  // namespace
}  // namespace tasker::core
