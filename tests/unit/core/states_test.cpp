// The transition tables, cell by cell, against tables typed from the design and not from the code.
#include "orchestrator/core/states.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <utility>

namespace tasker::core {
namespace {

template <typename State>
using Expected = std::map<std::pair<State, typename Machine<State>::Event>, State>;

// Every state times every event: legal cells must lead where the design says, all others nowhere.
template <typename State>
void compare_cell_by_cell(const Expected<State>& expected) {
    std::size_t legal = 0;
    for (const auto& from : Machine<State>::kStates) {
        for (const auto& event : Machine<State>::kEvents) {
            const auto cell = expected.find({from.value, event.value});
            const bool is_legal = cell != expected.end();
            if (is_legal) ++legal;
            const auto reached = next_state(from.value, event.value);
            EXPECT_EQ(reached ? to_text(*reached) : "nowhere", is_legal ? to_text(cell->second) : "nowhere")
                << "from " << from.text << " by " << event.text;
        }
    }
    EXPECT_EQ(legal, expected.size());
    EXPECT_EQ(Machine<State>::kTransitions.size(), expected.size()) << "a row stands twice";
}

TEST(TaskTransitions, EveryCellIsWhatTheDesignSays) {
    using S = TaskState;
    using E = TaskEvent;
    const Expected<S> expected = {
        {{S::pending, E::start}, S::in_progress},
        {{S::pending, E::cancel}, S::cancelled},
        {{S::pending, E::fail}, S::error},
        {{S::pending, E::resolve_manually}, S::resolved_manually},
        {{S::in_progress, E::complete}, S::complete},
        {{S::in_progress, E::fail}, S::error},
        {{S::in_progress, E::cancel}, S::cancelled},
        {{S::in_progress, E::resolve_manually}, S::resolved_manually},
        {{S::error, E::cancel}, S::cancelled},
        {{S::error, E::resolve_manually}, S::resolved_manually},
        {{S::error, E::reopen}, S::in_progress},
    };
    compare_cell_by_cell<S>(expected);
}

TEST(StepTransitions, EveryCellIsWhatTheDesignSays) {
    using S = StepState;
    using E = StepEvent;
    const Expected<S> expected = {
        {{S::pending, E::claim}, S::in_progress},
        {{S::pending, E::request_too_large}, S::error},
        {{S::pending, E::give_up}, S::error},
        {{S::pending, E::cancel}, S::cancelled},
        {{S::in_progress, E::complete}, S::complete},
        {{S::in_progress, E::await_retry}, S::waiting_for_retry},
        {{S::in_progress, E::fail}, S::error},
        {{S::in_progress, E::hand_back}, S::pending},
        {{S::in_progress, E::cancel}, S::cancelled},
        {{S::waiting_for_retry, E::claim}, S::in_progress},
        // A late success of the current attempt is better than another attempt.
        {{S::waiting_for_retry, E::complete}, S::complete},
        {{S::waiting_for_retry, E::cancel}, S::cancelled},
        {{S::error, E::retry}, S::pending},
        {{S::error, E::resolve_manually}, S::resolved_manually},
    };
    compare_cell_by_cell<S>(expected);
}

TEST(BatchTransitions, EveryCellIsWhatTheDesignSays) {
    using S = BatchState;
    using E = BatchEvent;
    const Expected<S> expected = {
        {{S::created, E::publish}, S::published},
        {{S::created, E::cancel}, S::cancelled},
        {{S::published, E::start}, S::executing},
        {{S::published, E::time_out}, S::timed_out},
        // All its steps were handed back before a sign of life: none is left to report.
        {{S::published, E::cancel}, S::cancelled},
        {{S::executing, E::finish_completed}, S::completed},
        {{S::executing, E::finish_partially_failed}, S::partially_failed},
        {{S::executing, E::finish_failed}, S::failed},
        {{S::executing, E::time_out}, S::timed_out},
        {{S::executing, E::cancel}, S::cancelled},
    };
    compare_cell_by_cell<S>(expected);
}

TEST(TerminalStates, OnlyTheAutomaticallyFinalOnes) {
    const std::set<TaskState> tasks = {TaskState::complete, TaskState::error, TaskState::cancelled,
                                       TaskState::resolved_manually};
    for (const auto& state : Machine<TaskState>::kStates) {
        EXPECT_EQ(is_terminal(state.value), tasks.contains(state.value)) << state.text;
    }
    for (const auto& state : Machine<BatchState>::kStates) {
        bool moves_on = false;
        for (const auto& event : Machine<BatchState>::kEvents) {
            moves_on = moves_on || next_state(state.value, event.value).has_value();
        }
        EXPECT_EQ(is_terminal(state.value), !moves_on) << state.text;
    }
}

// The words of a table, in its order.
template <typename Words>
std::string list(const Words& words) {
    std::string text;
    for (const auto& word : words) text += (text.empty() ? "" : " ") + std::string(word.text);
    return text;
}

TEST(Words, AreThoseOfTheSchema) {
    EXPECT_EQ(list(Machine<TaskState>::kStates),
              "pending in_progress complete error cancelled resolved_manually");
    EXPECT_EQ(list(Machine<TaskState>::kEvents), "start complete fail cancel resolve_manually reopen");
    EXPECT_EQ(list(Machine<StepState>::kStates),
              "pending in_progress waiting_for_retry complete error cancelled resolved_manually");
    EXPECT_EQ(
        list(Machine<StepState>::kEvents),
        "claim complete await_retry fail hand_back request_too_large give_up retry resolve_manually cancel");
    EXPECT_EQ(list(Machine<BatchState>::kStates),
              "created published executing completed partially_failed failed timed_out cancelled");
    EXPECT_EQ(list(Machine<BatchState>::kEvents), "publish start finish finish finish time_out cancel");
}

TEST(Words, StandForTheirValuesInBothDirections) {
    for (const auto& word : Machine<TaskState>::kStates) {
        EXPECT_EQ(to_text(word.value), word.text);
        EXPECT_EQ(parse_task_state(word.text), word.value);
    }
    for (const auto& word : Machine<BatchState>::kStates) {
        EXPECT_EQ(to_text(word.value), word.text);
        EXPECT_EQ(parse_batch_state(word.text), word.value);
    }
    EXPECT_EQ(to_text(TaskEvent::reopen), "reopen");
    EXPECT_EQ(to_text(StepState::waiting_for_retry), "waiting_for_retry");
    EXPECT_EQ(to_text(StepEvent::hand_back), "hand_back");
    EXPECT_EQ(to_text(BatchEvent::finish_failed), "finish");
    for (const char* wrong : {"", "Pending", "pending ", "done", "completed"}) {
        EXPECT_FALSE(parse_task_state(wrong)) << wrong;
    }
    EXPECT_FALSE(parse_batch_state("complete"));
}

TEST(FirstTransitions, BeginTheHistoryOfEachMachine) {
    EXPECT_EQ(Machine<TaskState>::kFirst.event, "create");
    EXPECT_EQ(Machine<TaskState>::kFirst.to, TaskState::pending);
    EXPECT_EQ(Machine<StepState>::kFirst.event, "create");
    EXPECT_EQ(Machine<StepState>::kFirst.to, StepState::pending);
    EXPECT_EQ(Machine<BatchState>::kFirst.event, "claim");
    EXPECT_EQ(Machine<BatchState>::kFirst.to, BatchState::created);
}

}  // namespace
}  // namespace tasker::core
