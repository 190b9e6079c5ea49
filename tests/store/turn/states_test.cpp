// The rules that have a name in SQL: legal transitions and open batches against core's tables, cell by cell,
// and the verdict on a task.
#include "orchestrator/core/states.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/store/turn/scene.hpp"

namespace tasker::store {
namespace {

using core::Machine;

std::string sql_text(std::string_view word) {
    return "'" + std::string(word) + "'";
}

// "from event to" of every cell that is legal, sorted.
template <typename State>
std::set<std::string> legal_in_core() {
    std::set<std::string> cells = {"nothing " + std::string(Machine<State>::kFirst.event) + " " +
                                   std::string(core::to_text(Machine<State>::kFirst.to))};
    for (const auto& row : Machine<State>::kTransitions) {
        cells.insert(std::string(core::to_text(row.from)) + " " + std::string(core::to_text(row.event)) +
                     " " + std::string(core::to_text(row.to)));
    }
    return cells;
}

// The same by asking `function` about every state and none × every event × every state.
template <typename State>
std::set<std::string> legal_in_sql(Scene& scene, const std::string& function) {
    std::string states;
    for (const auto& state : Machine<State>::kStates) states += ",(" + sql_text(state.text) + ")";
    std::string events = "(" + sql_text(Machine<State>::kFirst.event) + ")";
    for (const auto& event : Machine<State>::kEvents) events += ",(" + sql_text(event.text) + ")";
    std::set<std::string> cells;
    for (const auto& row : scene.sql().execute(
             "SELECT DISTINCT concat_ws(' ', coalesce(f, 'nothing'), e, t) FROM (VALUES (NULL)" + states +
             ") x(f), (VALUES " + events + ") y(e), (VALUES " + states.substr(1) + ") z(t) WHERE " +
             function + "(f, t, e)")) {
        cells.insert(row[0].as<std::string>());
    }
    return cells;
}

TEST(LegalTransitions, InSqlAreThoseOfCoreCellByCell) {
    Scene scene;
    EXPECT_EQ(legal_in_sql<core::TaskState>(scene, "tasker_is_legal_task_transition"),
              legal_in_core<core::TaskState>());
    EXPECT_EQ(legal_in_sql<core::StepState>(scene, "tasker_is_legal_step_transition"),
              legal_in_core<core::StepState>());
    EXPECT_EQ(legal_in_sql<core::BatchState>(scene, "tasker_is_legal_batch_transition"),
              legal_in_core<core::BatchState>());
}

TEST(LegalTransitions, OfStatesThatTheTablesKnow) {
    Scene scene;
    const auto listed = [&](const std::string& constraint) {
        std::set<std::string> words;
        for (const auto& row : scene.sql().execute(
                 "SELECT DISTINCT unnest(string_to_array(substring(pg_get_constraintdef(c.oid) FROM "
                 "'{(.*)}'), ',')) "
                 "FROM pg_constraint c WHERE c.conname = " +
                 sql_text(constraint))) {
            words.insert(row[0].as<std::string>());
        }
        return words;
    };
    const auto known = [](const auto& states) {
        std::set<std::string> words;
        for (const auto& state : states) words.insert(std::string(state.text));
        return words;
    };
    EXPECT_EQ(listed("tasker_tasks_state"), known(Machine<core::TaskState>::kStates));
    EXPECT_EQ(listed("tasker_workflow_steps_state"), known(Machine<core::StepState>::kStates));
    EXPECT_EQ(listed("tasker_step_execution_batches_state"), known(Machine<core::BatchState>::kStates));
}

TEST(OpenBatch, IsOneThatHasNotEnded) {
    Scene scene;
    for (const auto& state : Machine<core::BatchState>::kStates) {
        EXPECT_EQ(scene.one("SELECT tasker_is_open_batch(" + sql_text(state.text) + ")::text"),
                  core::is_terminal(state.value) ? "false" : "true")
            << state.text;
    }
}

TEST(VerdictOnATask, FollowsFromTheStateAndTheCounters) {
    Scene scene;
    for (const auto& state : Machine<core::TaskState>::kStates) {
        for (int bits = 0; bits < 16; ++bits) {
            const bool open = (bits & 1) != 0;
            const bool movable = (bits & 2) != 0;
            const bool started = (bits & 4) != 0;
            const bool failed = (bits & 8) != 0;
            std::string expected(state.text);
            if (!core::is_terminal(state.value)) {
                if (!open) {
                    expected = "complete";
                } else if (!movable) {
                    expected = failed ? "error" : "cancelled";
                } else if (started) {
                    expected = "in_progress";
                }
            }
            const auto word = [](bool value) { return std::string(value ? "true" : "false"); };
            EXPECT_EQ(
                scene.one("SELECT tasker_task_verdict(" + sql_text(state.text) + ", " + (open ? "2" : "0") +
                          ", " + (movable ? "1" : "0") + ", " + word(started) + ", " + word(failed) + ")"),
                expected)
                << state.text << (open ? " open" : "") << (movable ? " movable" : "")
                << (started ? " started" : "") << (failed ? " failed" : "");
        }
    }
}

}  // namespace
}  // namespace tasker::store
