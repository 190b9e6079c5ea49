// The transition tables, cell by cell, against tables typed from the design and not from the code.
#include "orchestrator/core/states.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace tasker::core {
namespace {

template <typename State, typename Event>
using Expected = std::map<std::pair<State, Event>, State>;

// Every state times every event: legal cells must lead where the design says, all others nowhere.
template <typename State, typename Event>
void compare_cell_by_cell(int states, int events, const Expected<State, Event>& expected) {
    int legal = 0;
    for (int s = 0; s < states; ++s) {
        for (int e = 0; e < events; ++e) {
            const auto from = static_cast<State>(s);
            const auto event = static_cast<Event>(e);
            const auto reached = next_state(from, event);
            const auto cell = expected.find({from, event});
            if (cell == expected.end()) {
                EXPECT_FALSE(reached.has_value())
                    << to_text(from) << ", event " << e << " must be illegal, leads to " << to_text(*reached);
                continue;
            }
            ++legal;
            ASSERT_TRUE(reached.has_value()) << to_text(from) << ", event " << e << " must be legal";
            EXPECT_EQ(to_text(*reached), to_text(cell->second)) << to_text(from) << ", event " << e;
        }
    }
    EXPECT_EQ(legal, static_cast<int>(expected.size()));
}

TEST(TaskTransitions, EveryCellIsWhatTheDesignSays) {
    using S = TaskState;
    using E = TaskEvent;
    const Expected<S, E> expected = {
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
    compare_cell_by_cell<S, E>(6, 6, expected);
}

TEST(StepTransitions, EveryCellIsWhatTheDesignSays) {
    using S = StepState;
    using E = StepEvent;
    const Expected<S, E> expected = {
        {{S::pending, E::claim}, S::in_progress},
        {{S::pending, E::request_too_large}, S::error},
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
    compare_cell_by_cell<S, E>(7, 9, expected);
}

TEST(BatchTransitions, EveryCellIsWhatTheDesignSays) {
    using S = BatchState;
    using E = BatchEvent;
    const Expected<S, E> expected = {
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
    compare_cell_by_cell<S, E>(8, 7, expected);
}

TEST(TerminalStates, OnlyTheAutomaticallyFinalOnes) {
    const std::set<TaskState> tasks = {TaskState::complete, TaskState::error, TaskState::cancelled,
                                       TaskState::resolved_manually};
    for (int s = 0; s < 6; ++s) {
        const auto state = static_cast<TaskState>(s);
        EXPECT_EQ(is_terminal(state), tasks.contains(state)) << to_text(state);
    }
    const std::set<StepState> steps = {StepState::complete, StepState::error, StepState::cancelled,
                                       StepState::resolved_manually};
    for (int s = 0; s < 7; ++s) {
        const auto state = static_cast<StepState>(s);
        EXPECT_EQ(is_terminal(state), steps.contains(state)) << to_text(state);
    }
    const std::set<BatchState> batches = {BatchState::completed, BatchState::partially_failed,
                                          BatchState::failed, BatchState::timed_out, BatchState::cancelled};
    for (int s = 0; s < 8; ++s) {
        const auto state = static_cast<BatchState>(s);
        EXPECT_EQ(is_terminal(state), batches.contains(state)) << to_text(state);
        for (int e = 0; batches.contains(state) && e < 7; ++e) {
            EXPECT_FALSE(next_state(state, static_cast<BatchEvent>(e))) << to_text(state) << " is final";
        }
    }
}

TEST(Dependents, RunAfterCompleteAndResolvedParentsOnly) {
    for (int s = 0; s < 7; ++s) {
        const auto state = static_cast<StepState>(s);
        EXPECT_EQ(satisfies_dependents(state),
                  state == StepState::complete || state == StepState::resolved_manually)
            << to_text(state);
    }
}

TEST(StateWords, AreThoseOfTheSchemaAndParseBack) {
    const std::vector<std::string> tasks = {"pending", "in_progress", "complete",
                                            "error",   "cancelled",   "resolved_manually"};
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        EXPECT_EQ(to_text(static_cast<TaskState>(i)), tasks[i]);
        EXPECT_EQ(parse_task_state(tasks[i]), static_cast<TaskState>(i));
    }
    const std::vector<std::string> steps = {"pending", "in_progress", "waiting_for_retry", "complete",
                                            "error",   "cancelled",   "resolved_manually"};
    for (std::size_t i = 0; i < steps.size(); ++i) {
        EXPECT_EQ(to_text(static_cast<StepState>(i)), steps[i]);
        EXPECT_EQ(parse_step_state(steps[i]), static_cast<StepState>(i));
    }
    const std::vector<std::string> batches = {"created",          "published", "executing", "completed",
                                              "partially_failed", "failed",    "timed_out", "cancelled"};
    for (std::size_t i = 0; i < batches.size(); ++i) {
        EXPECT_EQ(to_text(static_cast<BatchState>(i)), batches[i]);
        EXPECT_EQ(parse_batch_state(batches[i]), static_cast<BatchState>(i));
    }
    for (const char* wrong : {"", "Pending", "pending ", "done", "completed"}) {
        EXPECT_FALSE(parse_task_state(wrong)) << wrong;
        EXPECT_FALSE(parse_step_state(wrong)) << wrong;
    }
    EXPECT_FALSE(parse_batch_state("complete"));
}

}  // namespace
}  // namespace tasker::core
