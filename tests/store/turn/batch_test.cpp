// Batches: what a turn does to their rows, and reading them back.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/store/turn/scene.hpp"

namespace tasker::store {
namespace {

using core::BatchState;

class Batch : public ::testing::Test {
  protected:
    void SetUp() override {
        scene.submit_many(scene.draw("single", "only"), 2);
        claims = scene.claim(2);
        ASSERT_EQ(claims.size(), 2U);
        change.batch_id = claims[0].batch_id;
    }
    void TearDown() override { EXPECT_EQ(scene.violations(), std::vector<std::string>{}); }

    void move(BatchState from, BatchState to, int transitions) {
        change.from = from;
        change.to = to;
        change.transitions = transitions;
        ports::TurnInput input;
        input.batches = {change};
        scene.turn(input);
    }
    std::string path() {
        return scene.list(
            "SELECT to_state || '(' || event_name || ')' || CASE WHEN most_recent THEN '*' ELSE '' END "
            "FROM tasker_step_execution_batch_transitions ORDER BY sort_key");
    }

    Scene scene;
    std::vector<ports::ClaimedStep> claims;
    ports::BatchChange change;
};

TEST_F(Batch, PassesThroughExecutingInOneTurnWithOneMostRecentFlag) {
    EXPECT_EQ(path(), "created(claim) published(publish)*");
    change.partials = 2;
    change.completion = true;
    change.reconciliation = core::ReconciliationStatus::consistent;
    change.detail_json = R"({"discrepancies":[]})";
    move(BatchState::published, BatchState::completed, 2);
    EXPECT_EQ(path(), "created(claim) published(publish) executing(start) completed(finish)*");
    EXPECT_EQ(
        scene.one(
            "SELECT state || ' ' || partial_results_received || ' ' || final_completion_received || ' ' || "
            "reconciliation_status || ' ' || metadata FROM tasker_step_execution_batches"),
        R"(completed 2 true consistent {"discrepancies": []})");
}

TEST_F(Batch, MovesStepByStepAndClearsTheFlagBeforeTheNewRow) {
    move(BatchState::published, BatchState::executing, 1);
    EXPECT_EQ(path(), "created(claim) published(publish) executing(start)*");
    change.partials = 1;
    move(BatchState::executing, BatchState::executing, 0);
    EXPECT_EQ(path(), "created(claim) published(publish) executing(start)*");
    change.partials = 1;
    move(BatchState::executing, BatchState::partially_failed, 1);
    EXPECT_EQ(path(), "created(claim) published(publish) executing(start) partially_failed(finish)*");
    EXPECT_EQ(scene.one("SELECT partial_results_received FROM tasker_step_execution_batches"), "2");
}

TEST_F(Batch, EndsAsTimedOutOrCancelledUnderThoseNames) {
    move(BatchState::published, BatchState::timed_out, 1);
    EXPECT_EQ(path(), "created(claim) published(publish) timed_out(time_out)*");
    scene.submit(scene.draw("single", "only"));
    const auto other = scene.claim(1).at(0);
    change.batch_id = other.batch_id;
    move(BatchState::published, BatchState::cancelled, 1);
    EXPECT_EQ(
        scene.one(
            "SELECT event_name FROM tasker_step_execution_batch_transitions WHERE most_recent AND batch_id "
            "= " +
            std::to_string(other.batch_id)),
        "cancel");
}

TEST_F(Batch, AVerdictIsKeptUntilALaterOneReplacesItAndDetailsAreMerged) {
    change.reconciliation = core::ReconciliationStatus::discrepancy;
    change.detail_json = R"({"discrepancies":[{"kind":"missing_partial"}]})";
    move(BatchState::published, BatchState::published, 0);
    change.reconciliation.reset();
    change.detail_json.clear();
    change.partials = 1;
    move(BatchState::published, BatchState::published, 0);
    EXPECT_EQ(scene.one("SELECT reconciliation_status || metadata FROM tasker_step_execution_batches"),
              R"(discrepancy{"discrepancies": [{"kind": "missing_partial"}]})");
    change.reconciliation = core::ReconciliationStatus::consistent;
    change.detail_json = R"({"discrepancies":[]})";
    move(BatchState::published, BatchState::published, 0);
    EXPECT_EQ(scene.one("SELECT reconciliation_status || metadata FROM tasker_step_execution_batches"),
              R"(consistent{"discrepancies": []})");
}

TEST_F(Batch, ThatIsOpenOrNotReconciledIsReadBackWithWhatItsRequestNeeds) {
    auto late = Scene::report(claims[0]);
    auto conflict = Scene::report(claims[0], "failed");
    conflict.message_class = ports::MessageClass::duplicate;
    auto completion = late;
    completion.message_class = ports::MessageClass::noted;
    completion.completion = true;
    completion.batch_step_id = completion.step_id = completion.task_id = 0;
    completion.raw = R"({"message_type":"batch_completion","n":1})";
    scene.apply({late, conflict, completion});
    ports::TurnInput running;
    running.running = {{claims[1].batch_id, claims[1].step_id, 10}};
    scene.turn(running);

    const auto open = scene.store().load_open_batches();
    ASSERT_EQ(open.size(), 1U);
    const auto& batch = open[0];
    EXPECT_EQ(batch.batch_id, claims[0].batch_id);
    EXPECT_EQ(batch.batch_uuid, claims[0].batch_uuid);
    EXPECT_EQ(batch.session, "s1");
    EXPECT_EQ(batch.handler_key, claims[0].handler_key);
    EXPECT_EQ(batch.state, BatchState::published);
    EXPECT_EQ(batch.completion_json, completion.raw);
    ASSERT_EQ(batch.steps.size(), 2U);
    EXPECT_EQ(batch.steps[0].final_status, "completed");
    EXPECT_TRUE(batch.steps[0].conflicting);
    EXPECT_FALSE(batch.steps[0].started);
    EXPECT_EQ(batch.steps[0].context_json, "") << "only steps that are still expected need it";
    const auto& expected = batch.steps[1];
    EXPECT_EQ(expected.final_status, "");
    EXPECT_TRUE(expected.started);
    EXPECT_FALSE(expected.conflicting);
    EXPECT_EQ(expected.step_id, claims[1].step_id);
    EXPECT_EQ(expected.attempt, 1);
    EXPECT_EQ(expected.step_name, "only");
    EXPECT_EQ(expected.context_json, claims[1].context_json);
    EXPECT_EQ(expected.claimed_at, claims[1].claimed_at);
    EXPECT_EQ(expected.timeout_ms, 30000);

    // Ended, but without a verdict: still open for reconciliation. With a verdict: gone, but found by its
    // uuid.
    move(BatchState::published, BatchState::completed, 2);
    EXPECT_EQ(scene.store().load_open_batches().size(), 1U);
    change.reconciliation = core::ReconciliationStatus::discrepancy;
    move(BatchState::completed, BatchState::completed, 0);
    EXPECT_TRUE(scene.store().load_open_batches().empty());
    const auto found = scene.store().load_batch(claims[0].batch_uuid);
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->reconciliation, core::ReconciliationStatus::discrepancy);
    EXPECT_FALSE(scene.store().load_batch("00000000-0000-0000-0000-000000000000").has_value());
    scene.execute(
        "UPDATE tasker_step_execution_batch_steps SET final_status = 'completed', reported_at = now()");
    scene.execute(
        "UPDATE tasker_workflow_steps SET state = 'complete', transition_count = 3 WHERE state = "
        "'in_progress'");
    scene.execute(
        "INSERT INTO tasker_workflow_step_transitions SELECT workflow_step_id, task_id, 3, 'in_progress', "
        "'complete', 'complete' FROM tasker_workflow_steps s WHERE NOT EXISTS (SELECT FROM "
        "tasker_workflow_step_transitions t WHERE t.workflow_step_id = s.workflow_step_id AND sort_key = 3)");
    scene.execute(
        "UPDATE tasker_tasks SET state = 'complete', open_steps = 0, movable_steps = 0, transition_count = "
        "3, "
        "completed_at = now()");
    scene.execute(
        "INSERT INTO tasker_task_transitions SELECT task_id, 3, 'in_progress', 'complete', 'complete' FROM "
        "tasker_tasks ON CONFLICT DO NOTHING");
}

TEST_F(Batch, RejectedMessagesAreKeptByteByByte) {
    const std::string bytes("\x00\xff{\"a\":1}\n", 10);
    scene.store().record_rejected({{"results", "invalid_utf8", "byte 1 is no UTF-8", "s1", bytes},
                                   {"topic\x01", "malformed_json", "expected \" at 7", "", "x"}});
    EXPECT_EQ(
        scene.list(
            "SELECT code || '|' || coalesce(topic, '-') || '|' || coalesce(session, '-') || '|' || reason "
            "FROM tasker_rejected_messages ORDER BY id"),
        "invalid_utf8|results|s1|byte 1 is no UTF-8 malformed_json|-|-|expected \" at 7");
    EXPECT_EQ(scene.one("SELECT encode(raw, 'hex') FROM tasker_rejected_messages ORDER BY id LIMIT 1"),
              "00ff7b2261223a317d0a");
}

TEST_F(Batch, AFloodOfRejectedMessagesLeavesABoundedNumberOfRows) {
    std::vector<ports::RejectedMessage> flood;
    for (int i = 0; i < 400; ++i) flood.push_back({"results", "unknown_batch", "of no batch", "s1", "{}"});
    for (int i = 0; i < 3; ++i) scene.store().record_rejected(flood);
    scene.store().record_rejected({{"results", "bad_frame", "another kind", "s1", "{}"}});
    EXPECT_EQ(scene.one("SELECT count(*) FROM tasker_rejected_messages WHERE code = 'unknown_batch'"), "600");
    EXPECT_EQ(scene.one("SELECT count(*) FROM tasker_rejected_messages WHERE code = 'bad_frame'"), "1");
}

}  // namespace
}  // namespace tasker::store
