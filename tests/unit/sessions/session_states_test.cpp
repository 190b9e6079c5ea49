// Every cell of the session table: state × event.
#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string_view>

#include "orchestrator/core/sessions/states.hpp"

namespace tasker::core {
namespace {

using S = SessionState;
using E = SessionEvent;

constexpr auto& kStates = Machine<SessionState>::kStates;
constexpr auto& kEvents = Machine<SessionState>::kEvents;

// One row per state, one column per event in the order of the enumeration; "-" means that nothing happens.
struct Row {
    S from;
    std::array<const char*, kEvents.size()> to;
};
constexpr std::array<Row, kStates.size()> kExpected = {{
    // hello, probe_answered, subscribed, unsubscribed, heard, silence, lease, grace, unproven, ignored, drain, goodbye
    {S::greeted,
     {"greeted", "ready", "greeted", "suspect", "greeted", "suspect", "lost", "lost", "lost", "suspect",
      "draining", "left"}},
    {S::ready,
     {"greeted", "ready", "greeted", "suspect", "ready", "suspect", "lost", "lost", "lost", "suspect",
      "draining", "left"}},
    {S::suspect,
     {"greeted", "ready", "suspect", "suspect", "suspect", "suspect", "lost", "lost", "lost", "suspect",
      "draining", "left"}},
    {S::lost, {"greeted", "-", "-", "-", "greeted", "-", "-", "-", "-", "-", "-", "-"}},
    {S::draining,
     {"draining", "draining", "draining", "draining", "draining", "draining", "lost", "lost", "lost",
      "draining", "draining", "left"}},
    {S::left, {"greeted", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"}},
}};

TEST(SessionStates, EveryCellOfTheTable) {
    std::size_t legal = 0;
    for (const Row& row : kExpected) {
        for (std::size_t i = 0; i < kEvents.size(); ++i) {
            const auto next = next_state(row.from, kEvents[i].value);
            if (next) ++legal;
            EXPECT_EQ(next ? to_text(*next) : "-", row.to[i])
                << to_text(row.from) << " × " << kEvents[i].text;
        }
    }
    EXPECT_EQ(legal, Machine<SessionState>::kTransitions.size()) << "a row stands twice";
}

TEST(SessionStates, OnlyAnAnsweredProbeMakesReady) {
    for (const auto& from : kStates) {
        for (const auto& event : kEvents) {
            if (from.value == S::ready || next_state(from.value, event.value) != S::ready) continue;
            EXPECT_EQ(event.value, E::probe_answered) << from.text;
        }
    }
}

TEST(SessionStates, EveryStateAndEventHasItsOwnWord) {
    std::set<std::string_view> words;
    for (const auto& state : kStates) words.insert(to_text(state.value));
    EXPECT_EQ(words.size(), kStates.size());
    words.clear();
    for (const auto& event : kEvents) words.insert(to_text(event.value));
    EXPECT_EQ(words.size(), kEvents.size());
}

}  // namespace
}  // namespace tasker::core
