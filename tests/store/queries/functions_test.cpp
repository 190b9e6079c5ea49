// The SQL functions and views that people and other languages may call (migrations/functions/read).
#include <gtest/gtest.h>

#include "tests/store/checks/history.hpp"

namespace tasker::api {
namespace {

class Functions : public testing::Test {
  protected:
    static void SetUpTestSuite() { history_ = new History(); }
    static void TearDownTestSuite() {
        delete history_;
        history_ = nullptr;
    }
    /// The rows of a query, columns joined by spaces, rows by " | "; NULL is "-".
    static std::string rows(const std::string& query, std::int64_t id = 0) {
        std::string text;
        const auto result = id == 0 ? history_->sql().execute(query) : history_->sql().query(query, id);
        for (const auto& row : result) {
            if (!text.empty()) text += " | ";
            for (const auto& field : row) {
                if (field.num() > 0) text += " ";
                text += field.is_null() ? "-" : field.c_str();
            }
        }
        return text;
    }
    static std::string readiness(std::int64_t task_id) {
        return rows(
            "SELECT name, current_state, dependencies_satisfied, retry_eligible, ready_for_execution,"
            " total_parents, completed_parents, attempts FROM get_step_readiness_status($1)",
            task_id);
    }
    static std::string context(std::int64_t task_id) {
        return rows(
            "SELECT status, total_steps, pending_steps, in_progress_steps, completed_steps, failed_steps,"
            " ready_steps, execution_status, recommended_action, completion_percentage, health_status"
            " FROM get_task_execution_context($1)",
            task_id);
    }

    static inline History* history_ = nullptr;
};

TEST_F(Functions, ReadinessSaysWhatMayRun) {
    EXPECT_EQ(
        readiness(history_->fresh),
        "a pending t t t 0 0 0 | b pending f t f 1 0 0 | c pending f t f 1 0 0 | d pending f t f 2 0 0");
    EXPECT_EQ(readiness(history_->in_flight),
              "a complete t f f 0 0 1 | b in_progress t t f 1 1 1 |"
              " c in_progress t t f 1 1 1 | d pending f t f 2 0 0");
    EXPECT_EQ(readiness(history_->retrying).substr(0, 36), "a waiting_for_retry t t f 0 0 1 | b ");
    EXPECT_EQ(readiness(history_->failed), "only error t f f 0 0 1");
    EXPECT_EQ(readiness(history_->held).substr(0, 18), "a pending t t f 0 ");
    EXPECT_EQ(readiness(history_->handed_back).substr(0, 22), "a pending t t t 0 0 1 ");
    EXPECT_EQ(readiness(4711), "");
}

TEST_F(Functions, ReadinessOfSelectedStepsOnly) {
    EXPECT_EQ(
        rows("SELECT name FROM get_step_readiness_status((SELECT task_id FROM tasker_workflow_steps WHERE"
             " workflow_step_id = $1), ARRAY[$1])",
             history_->step(history_->fresh, "c")),
        "c");
}

TEST_F(Functions, ReadinessNamesFailureAndNextAttempt) {
    EXPECT_EQ(rows("SELECT last_failure_at IS NOT NULL, next_retry_at > now() + interval '50 minutes' FROM"
                   " get_step_readiness_status($1) WHERE name = 'a'",
                   history_->retrying),
              "t t");
    EXPECT_EQ(rows("SELECT last_failure_at IS NOT NULL, next_retry_at FROM get_step_readiness_status($1)",
                   history_->failed),
              "t -");
}

TEST_F(Functions, ExecutionContextPerSituation) {
    EXPECT_EQ(context(history_->complete), "complete 4 0 0 4 0 0 all_complete none 100.00 healthy");
    EXPECT_EQ(context(history_->failed),
              "error 1 0 0 0 1 0 blocked_by_failures handle_failures 0.00 blocked");
    EXPECT_EQ(context(history_->retrying),
              "in_progress 4 3 0 0 1 0 waiting_for_dependencies wait_for_dependencies 0.00 recovering");
    EXPECT_EQ(context(history_->in_flight),
              "in_progress 4 1 2 1 0 0 processing wait_for_completion 25.00 healthy");
    EXPECT_EQ(context(history_->fresh),
              "pending 4 4 0 0 0 1 has_ready_steps execute_ready_steps 0.00 healthy");
    EXPECT_EQ(context(history_->held),
              "pending 4 4 0 0 0 0 waiting_for_dependencies wait_for_dependencies 0.00 healthy");
    EXPECT_EQ(context(4711), "");
}

TEST_F(Functions, BlockedIsSeenBeforeReady) {
    postgres::Transaction transaction = history_->sql().begin();
    transaction.query(
        "UPDATE tasker_workflow_steps SET state = 'error', error = '{}' WHERE workflow_step_id = $1",
        history_->step(history_->fresh, "d"));
    const auto row = transaction
                         .query("SELECT ready_steps, execution_status FROM get_task_execution_context($1)",
                                history_->fresh)
                         .at(0);
    EXPECT_EQ(row[0].as<int>(), 1);
    EXPECT_STREQ(row[1].c_str(), "blocked_by_failures");
    transaction.roll_back();
}

TEST_F(Functions, DependencyLevelsAreTheLongestWay) {
    EXPECT_EQ(rows("SELECT s.name, l.dependency_level FROM calculate_dependency_levels($1) l"
                   " JOIN tasker_workflow_steps s USING (workflow_step_id) ORDER BY 2, 1",
                   history_->fresh),
              "a 0 | b 1 | c 1 | d 2");
    // An edge a → d besides: d stays two below a, but one step away from it.
    postgres::Transaction transaction = history_->sql().begin();
    transaction.query("INSERT INTO tasker_workflow_step_edges VALUES ($1, $2, $3)",
                      history_->step(history_->fresh, "a"), history_->step(history_->fresh, "d"),
                      history_->fresh);
    EXPECT_EQ(
        transaction
            .query("SELECT l.dependency_level || ' ' || d.min_depth_from_root || ' ' || d.parent_count ||"
                   " ' ' || d.is_leaf_step FROM calculate_dependency_levels($1) l JOIN"
                   " tasker_step_dag_relationships d USING (workflow_step_id) WHERE d.task_id = $1 AND"
                   " d.name = 'd'",
                   history_->fresh)
            .at(0)[0]
            .as<std::string>(),
        "2 1 3 true");
    transaction.roll_back();
}

TEST_F(Functions, DependencyLevelsOfDamagedEdgesEnd) {
    postgres::Transaction transaction = history_->sql().begin();
    transaction.query("INSERT INTO tasker_workflow_step_edges VALUES ($1, $2, $3)",
                      history_->step(history_->fresh, "d"), history_->step(history_->fresh, "b"),
                      history_->fresh);
    EXPECT_EQ(transaction.query("SELECT count(*) FROM calculate_dependency_levels($1)", history_->fresh)
                  .at(0)[0]
                  .as<int>(),
              4);
    transaction.roll_back();
}

TEST_F(Functions, HealthCountsEverything) {
    EXPECT_EQ(rows("SELECT total_tasks, pending_tasks, in_progress_tasks, complete_tasks, error_tasks, "
                   "cancelled_tasks,"
                   " total_steps, pending_steps, in_progress_steps, complete_steps, error_steps, "
                   "retryable_error_steps,"
                   " exhausted_retry_steps, in_backoff_steps, ready_steps, open_batches, discrepancies, "
                   "dead_letters,"
                   " active_connections >= 1, max_connections > 1 FROM get_system_health_counts()"),
              "7 2 3 1 1 0 25 16 2 5 1 1 0 1 2 1 0 0 t t");
}

TEST_F(Functions, ViewsShowWhatIsMissing) {
    EXPECT_EQ(rows("SELECT name, attempt, batch_state FROM tasker_steps_without_results ORDER BY name"),
              "b 1 published | c 1 published");
    // Session s1 never wrote itself into tasker_workers.
    EXPECT_EQ(rows("SELECT name, session, session_state FROM tasker_orphaned_steps ORDER BY name"),
              "b s1 unknown | c s1 unknown");
    EXPECT_EQ(rows("SELECT count(*) FROM tasker_overdue_batches"), "0");
    EXPECT_EQ(rows("SELECT count(*) FROM tasker_reconciliation_discrepancies"), "0");
    postgres::Transaction transaction = history_->sql().begin();
    transaction.execute(
        "INSERT INTO tasker_workers (session, worker_id, capacity, state, epoch)"
        " VALUES ('s1', 'w', 1, 'ready', 1)");
    EXPECT_EQ(transaction.execute("SELECT count(*) FROM tasker_orphaned_steps").at(0)[0].as<int>(), 0);
    transaction.execute("UPDATE tasker_workers SET state = 'lost'");
    EXPECT_EQ(transaction.execute("SELECT count(*) FROM tasker_orphaned_steps").at(0)[0].as<int>(), 2);
    transaction.execute(
        "UPDATE tasker_step_execution_batches SET created_at = now() - interval '1 hour',"
        " reconciliation_status = 'discrepancy', metadata = '{\"discrepancies\": [{\"kind\":"
        " \"status_mismatch\", \"step_id\": 4, \"detail\": \"x\"}, {\"kind\": \"count_mismatch\","
        " \"detail\": \"y\"}]}' WHERE state = 'published'");
    const auto overdue =
        transaction.execute("SELECT steps_missing, overdue_seconds > 3000 FROM tasker_overdue_batches");
    ASSERT_EQ(overdue.size(), 1U);
    EXPECT_EQ(overdue[0][0].as<int>(), 2);
    EXPECT_TRUE(overdue[0][1].as<bool>());
    const auto differences = transaction.execute(
        "SELECT kind || ' ' || coalesce(workflow_step_id::text, '-') || ' ' || detail FROM"
        " tasker_reconciliation_discrepancies ORDER BY 1");
    ASSERT_EQ(differences.size(), 2U);
    EXPECT_STREQ(differences[0][0].c_str(), "count_mismatch - y");
    EXPECT_STREQ(differences[1][0].c_str(), "status_mismatch 4 x");
    transaction.roll_back();
}

}  // namespace
}  // namespace tasker::api
