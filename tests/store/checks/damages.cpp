#include "tests/store/checks/damages.hpp"

namespace tasker::api {
namespace {

constexpr Damage kDamages[] = {
    // References.
    {"TaskOfAnotherNamespace", "UPDATE tasker_tasks SET namespace_id = 99 WHERE task_id = @fresh",
     "task_template", "in namespace 99, which does not exist"},
    {"TaskOfAnUnknownRevision", "UPDATE tasker_tasks SET template_revision = 7 WHERE task_id = @fresh",
     "task_template", "revision 7"},
    {"ParentTaskIsGone", "UPDATE tasker_tasks SET parent_task_id = 4711 WHERE task_id = @fresh",
     "task_parent", "has parent task 4711"},
    {"ParentStepOfAnotherTask",
     "UPDATE tasker_tasks SET parent_task_id = @complete, parent_step_id = @failed.only WHERE task_id = "
     "@fresh",
     "task_parent", "no such step of such a task"},
    {"IdentityWithoutTask", "UPDATE tasker_task_identities SET task_id = 4711 WHERE task_id = @held",
     "identity_task", "names task 4711"},
    {"StepOfAMissingTask",
     "UPDATE tasker_workflow_steps SET task_id = 4711 WHERE workflow_step_id = @fresh.d", "step_task",
     "belongs to task 4711, which does not exist"},
    {"StepOfAnotherShard",
     "UPDATE tasker_workflow_steps SET shard = shard + 1 WHERE workflow_step_id = @fresh.d", "step_task",
     "has namespace"},
    {"StepWithAForeignHandlerKey",
     "UPDATE tasker_workflow_steps SET handler_key = 4711 WHERE workflow_step_id = @fresh.d",
     "step_definition", "handler key 4711"},
    {"EdgeIntoAnotherTask",
     "UPDATE tasker_workflow_step_edges SET from_step_id = @held.a WHERE to_step_id = @fresh.b", "edge_steps",
     "does not join two steps of that task"},
    {"TaskTransitionWithoutTask",
     "INSERT INTO tasker_task_transitions (task_id, sort_key, to_state, event) VALUES (4711, 1, 'pending', "
     "'create')",
     "task_transition_task", "task 4711, which does not exist"},
    {"StepTransitionOfAnotherTask",
     "UPDATE tasker_workflow_step_transitions SET task_id = @held WHERE workflow_step_id = @fresh.a",
     "step_transition_step", "which does not exist"},
    {"BatchOfAnotherTask",
     "UPDATE tasker_step_execution_batches SET task_id = @fresh WHERE task_id = @failed", "batch_task",
     "but delivers step @failed.only of task @failed"},
    {"BatchOfAMissingTask", "UPDATE tasker_step_execution_batches SET task_id = 4711 WHERE task_id = @failed",
     "batch_task", "belongs to task 4711, which does not exist"},
    {"BatchWithAForeignHandler",
     "UPDATE tasker_step_execution_batches SET handler_class = 'Other' WHERE task_id = @failed",
     "batch_handler", "for Other, which does not exist so"},
    {"DeliveryWithoutBatch",
     "UPDATE tasker_step_execution_batch_steps SET batch_id = 4711 WHERE workflow_step_id = @failed.only",
     "batch_step_owner", "belongs to batch 4711, which does not exist"},
    {"DeliveryOfAMissingStep",
     "UPDATE tasker_step_execution_batch_steps SET workflow_step_id = 4711 WHERE workflow_step_id = "
     "@failed.only",
     "batch_step_owner", "delivers step 4711, which does not exist"},
    {"DeliveryByAnotherHandler",
     "UPDATE tasker_step_execution_batch_steps SET expected_handler_class = 'Last' WHERE workflow_step_id = "
     "@failed.only",
     "batch_step_owner", "carries step @failed.only"},
    {"LedgerRowWithoutBatch",
     "INSERT INTO tasker_step_execution_batch_received_results (batch_id, message_type, disposition, "
     "raw_message_json)"
     " VALUES (4711, 'partial_result', 'noted', '{}')",
     "ledger_owner", "belongs to batch 4711, which does not exist"},
    {"LedgerRowAboutAnotherBatchsStep",
     "UPDATE tasker_step_execution_batch_received_results SET batch_step_id = (SELECT id FROM"
     " tasker_step_execution_batch_steps WHERE workflow_step_id = @failed.only)"
     " WHERE disposition = 'duplicate'",
     "ledger_owner", "does not have"},
    {"BatchTransitionWithoutBatch",
     "INSERT INTO tasker_step_execution_batch_transitions (batch_id, to_state, event_name, sort_key, "
     "most_recent)"
     " VALUES (4711, 'created', 'claim', 1, true)",
     "batch_transition_batch", "batch 4711, which does not exist"},
    {"DeadLetterWithoutStep",
     "INSERT INTO tasker_dead_letters (workflow_step_id, task_id, attempt, reason) VALUES (4711, @failed, 1, "
     "'limit')",
     "dead_letter_step", "step 4711 of task @failed, which does not exist"},
    // Tasks.
    {"TaskWithoutOneOfItsSteps", "DELETE FROM tasker_workflow_steps WHERE workflow_step_id = @fresh.d",
     "task_whole", "has 3 steps and 4 edges, its template revision has 4 and 4"},
    {"TaskWithoutOneOfItsEdges", "DELETE FROM tasker_workflow_step_edges WHERE to_step_id = @fresh.b",
     "task_whole", "has 4 steps and 3 edges"},
    {"OpenStepsTooFew", "UPDATE tasker_tasks SET open_steps = 3 WHERE task_id = @fresh", "task_counters",
     "open_steps 3 and movable_steps 1, its steps say 4 and 1"},
    {"MovableStepsTooMany", "UPDATE tasker_tasks SET movable_steps = 2 WHERE task_id = @fresh",
     "task_counters", "open_steps 4 and movable_steps 2, its steps say 4 and 1"},
    {"StuckTask",
     "UPDATE tasker_workflow_steps SET state = 'error', error = '{}', ready_key = NULL WHERE "
     "workflow_step_id = "
     "@fresh.a",
     "task_verdict", "is pending, but nothing can move"},
    {"CompleteTooEarly", "UPDATE tasker_tasks SET state = 'complete' WHERE task_id = @in_flight",
     "task_verdict", "is complete with 3 open steps"},
    {"ErrorWhileStepsMove", "UPDATE tasker_tasks SET state = 'error' WHERE task_id = @in_flight",
     "task_verdict", "is error while 2 steps can move"},
    {"ErrorWithoutAnError",
     "UPDATE tasker_workflow_steps SET state = 'cancelled', error = NULL WHERE workflow_step_id = "
     "@failed.only",
     "task_verdict", "is error, but no step of it is"},
    {"PendingThoughStarted", "UPDATE tasker_tasks SET state = 'pending' WHERE task_id = @in_flight",
     "task_verdict", "is pending, but a step of it was started"},
    {"InProgressThoughNotStarted", "UPDATE tasker_tasks SET state = 'in_progress' WHERE task_id = @fresh",
     "task_verdict", "is in_progress, but its steps (4 open, 1 can move) make it pending"},
    {"TaskTransitionByAnotherEvent",
     "UPDATE tasker_task_transitions SET event = 'fail' WHERE task_id = @complete AND sort_key = 3",
     "task_transitions", "is in_progress -> complete (fail) after in_progress"},
    {"StepTransitionByAnotherEvent",
     "UPDATE tasker_workflow_step_transitions SET event = 'hand_back' WHERE workflow_step_id = @complete.b"
     " AND to_state = 'complete'",
     "step_transitions", "is in_progress -> complete (hand_back) after in_progress"},
    {"BatchTransitionByAnotherEvent",
     "UPDATE tasker_step_execution_batch_transitions t SET event_name = 'start'"
     " FROM tasker_step_execution_batches b WHERE b.batch_id = t.batch_id AND b.task_id = @failed AND "
     "t.sort_key = 4",
     "batch_transitions", "is executing -> failed (start) after executing"},
    {"TaskHistoryWithAGap",
     "UPDATE tasker_task_transitions SET sort_key = 5 WHERE task_id = @complete AND sort_key = 3",
     "task_history", "history has 3 entries up to 5"},
    {"TaskWithoutHistory", "DELETE FROM tasker_task_transitions WHERE task_id = @fresh", "task_history",
     "history has 0 entries"},
    {"TaskHistoryEndsElsewhere",
     "UPDATE tasker_task_transitions SET to_state = 'cancelled' WHERE task_id = @complete AND sort_key = 3",
     "task_history", "ending in cancelled"},
    {"TaskFromPendingToComplete",
     "UPDATE tasker_task_transitions SET from_state = 'pending' WHERE task_id = @complete AND sort_key = 3;"
     "DELETE FROM tasker_task_transitions WHERE task_id = @complete AND sort_key = 2",
     "task_transitions", "is pending -> complete"},
    {"TaskHistoryDoesNotJoin",
     "UPDATE tasker_task_transitions SET from_state = 'error' WHERE task_id = @complete AND sort_key = 3",
     "task_transitions", "is error -> complete (complete) after in_progress"},
    {"CancelledTaskStillMoves", "UPDATE tasker_tasks SET state = 'cancelled' WHERE task_id = @in_flight",
     "cancelled_task", "is in_progress in a cancelled task"},
    {"CancelledTaskStillReady", "UPDATE tasker_tasks SET state = 'cancelled' WHERE task_id = @fresh",
     "cancelled_task", "is pending and ready in a cancelled task"},
    {"EndedTaskStillInFlight", "UPDATE tasker_tasks SET state = 'complete' WHERE task_id = @in_flight",
     "terminal_task", "is still out in batch"},
    // Steps.
    {"StartedBeforeItsParent",
     "UPDATE tasker_workflow_steps SET state = 'in_progress', results = NULL WHERE workflow_step_id = "
     "@in_flight.a",
     "step_parents_done", "was started, but its parent a"},
    {"StartedTooEarlyByTheClock",
     "UPDATE tasker_workflow_step_transitions SET created_at = created_at - interval '1 minute'"
     " WHERE workflow_step_id = @complete.d AND to_state = 'in_progress'",
     "step_start_order", "finished only at"},
    {"TransitionOlderThanTheOneBefore",
     "UPDATE tasker_workflow_step_transitions SET created_at = created_at - interval '1 minute'"
     " WHERE workflow_step_id = @failed.only AND sort_key = 2",
     "history_times", "transition 2 is of"},
    {"TaskTransitionOlderThanTheOneBefore",
     "UPDATE tasker_task_transitions SET created_at = created_at - interval '1 minute'"
     " WHERE task_id = @complete AND sort_key = 2",
     "history_times", "the one before it of"},
    {"RemainingParentsTooMany",
     "UPDATE tasker_workflow_steps SET remaining_parents = 2 WHERE workflow_step_id = @fresh.b",
     "step_remaining_parents", "has remaining_parents 2, 1 of its parents"},
    {"MoreAttemptsThanAllowed",
     "UPDATE tasker_workflow_steps SET attempts = 4 WHERE workflow_step_id = @retrying.a",
     "step_attempt_limit", "has 4 counted attempts (4 - 0 unstarted), allowed are 3"},
    {"SecondAttemptThoughNotRetryable",
     "UPDATE tasker_workflow_steps SET attempts = 2 WHERE workflow_step_id = @failed.only",
     "step_attempt_limit", "allowed are 1"},
    {"AttemptWithoutHistory",
     "UPDATE tasker_workflow_steps SET attempts = 2 WHERE workflow_step_id = @in_flight.a",
     "step_attempt_counters", "has attempts 2 and unstarted_attempts 0, its history shows 1 and 0"},
    {"HandBackWithoutHistory",
     "UPDATE tasker_workflow_steps SET unstarted_attempts = 1 WHERE workflow_step_id = @in_flight.a",
     "step_attempt_counters", "unstarted_attempts 1, its history shows 1 and 0"},
    {"StepHistoryWithAGap",
     "DELETE FROM tasker_workflow_step_transitions WHERE workflow_step_id = @complete.b AND sort_key = 2",
     "step_history", "history has 2 entries up to 3"},
    {"StepStateWithoutTransition",
     "UPDATE tasker_workflow_steps SET state = 'cancelled', ready_key = NULL WHERE workflow_step_id = "
     "@fresh.a",
     "step_history", "ending in pending"},
    {"StepFromCompleteToPending",
     "INSERT INTO tasker_workflow_step_transitions (workflow_step_id, task_id, sort_key, from_state, "
     "to_state, event)"
     " VALUES (@complete.b, @complete, 4, 'complete', 'pending', 'retry')",
     "step_transitions", "is complete -> pending (retry) after complete"},
    {"CancelledStepGoesOn",
     "INSERT INTO tasker_workflow_step_transitions (workflow_step_id, task_id, sort_key, from_state, "
     "to_state, event)"
     " VALUES (@fresh.a, @fresh, 2, 'pending', 'cancelled', 'cancel')",
     "cancelled_step", "was cancelled (transition 2), but is pending now"},
    {"ChildOfACancelledStepStays",
     "UPDATE tasker_workflow_steps SET state = 'cancelled', ready_key = NULL WHERE workflow_step_id = "
     "@fresh.a",
     "cancelled_step", "although its parent a"},
    {"DeadLetterOfACompleteStep",
     "INSERT INTO tasker_dead_letters (workflow_step_id, task_id, attempt, reason)"
     " VALUES (@complete.a, @complete, 1, 'limit')",
     "dead_letters", "which is complete at attempt 1"},
    {"DeadLetterOpenInACancelledTask",
     "UPDATE tasker_tasks SET state = 'cancelled' WHERE task_id = @failed;"
     "INSERT INTO tasker_dead_letters (workflow_step_id, task_id, attempt, reason)"
     " VALUES (@failed.only, @failed, 1, 'retries_exhausted')",
     "dead_letters", "is open, but its task @failed is cancelled"},
    {"DeadLetterReplayedWithoutRetry",
     "INSERT INTO tasker_dead_letters (workflow_step_id, task_id, attempt, reason, resolved_at, resolution)"
     " VALUES (@failed.only, @failed, 1, 'retries_exhausted', now(), 'replayed')",
     "dead_letter_resolution", "was closed as replayed, but step @failed.only is error"},
    {"DeadLetterResolvedThoughTheStepIsNot",
     "INSERT INTO tasker_dead_letters (workflow_step_id, task_id, attempt, reason, resolved_at, resolution)"
     " VALUES (@failed.only, @failed, 1, 'retries_exhausted', now(), 'resolved')",
     "dead_letter_resolution", "was closed as resolved, but step @failed.only is error"},
    {"DeadLetterOfAnAttemptThatDidNotFail",
     "INSERT INTO tasker_dead_letters (workflow_step_id, task_id, attempt, reason, resolved_at, resolution)"
     " VALUES (@complete.a, @complete, 1, 'session_lost', now(), 'discarded')",
     "dead_letter_grounds", "which did not end in error"},
    {"DeadLetterForAnotherReason",
     "INSERT INTO tasker_dead_letters (workflow_step_id, task_id, attempt, reason)"
     " VALUES (@failed.only, @failed, 1, 'session_lost')",
     "dead_letter_grounds", "says session_lost about attempt 1"},
    {"DeadLetterForAPermanentError",
     "INSERT INTO tasker_dead_letters (workflow_step_id, task_id, attempt, reason)"
     " VALUES (@failed.only, @failed, 1, 'retries_exhausted')",
     "dead_letter_grounds", "says retries_exhausted about attempt 1"},
    {"OrphanInErrorWithoutDeadLetter",
     "UPDATE tasker_workflow_step_transitions SET metadata = '{\"reason\": \"session_lost\"}'"
     " WHERE workflow_step_id = @failed.only AND to_state = 'error'",
     "dead_letter_missing", "(session_lost) and has no dead letter"},
    {"OrphanedDeliveryWithoutDeadLetter",
     "UPDATE tasker_step_execution_batch_steps SET final_status = 'orphaned' WHERE workflow_step_id = "
     "@failed.only",
     "dead_letter_missing", "(orphaned) and has no dead letter"},
    {"ExhaustedWithoutDeadLetter",
     "UPDATE tasker_step_execution_batch_steps SET final_status = 'failed' WHERE workflow_step_id = "
     "@failed.only;"
     "UPDATE tasker_workflow_steps SET retryable = true, retry_limit = 1 WHERE workflow_step_id = "
     "@failed.only",
     "dead_letter_missing", "(retries_exhausted) and has no dead letter"},
    {"TooLargeWithoutDeadLetter",
     "UPDATE tasker_workflow_step_transitions SET event = 'request_too_large'"
     " WHERE workflow_step_id = @failed.only AND to_state = 'error'",
     "dead_letter_missing", "(request_too_large) and has no dead letter"},
    {"CancelledTaskWithAPendingStep", "UPDATE tasker_tasks SET state = 'cancelled' WHERE task_id = @held",
     "cancelled_task", "is pending in a cancelled task"},
    {"ReadyStepNobodyCanFind",
     "UPDATE tasker_workflow_steps SET ready_key = NULL WHERE workflow_step_id = @fresh.a", "ready_key",
     "nothing will ever find it"},
    {"RetryNobodyCanFind",
     "UPDATE tasker_workflow_steps SET next_attempt_at = NULL WHERE workflow_step_id = @retrying.a",
     "ready_key", "nothing will ever find it"},
    {"ReadyForAnotherHandler",
     "UPDATE tasker_workflow_steps SET ready_key = ready_key + 1 WHERE workflow_step_id = @fresh.a",
     "ready_key", "the ready_key must be its handler_key"},
    {"ReadyBeforeItsTime",
     "UPDATE tasker_workflow_steps SET ready_key = handler_key WHERE workflow_step_id = @held.a", "ready_key",
     "it must not be ready"},
    // Deliveries and the ledger.
    {"AttemptSentTwice",
     "INSERT INTO tasker_step_execution_batch_steps (batch_id, workflow_step_id, sequence_order, attempt,"
     " expected_handler_class) SELECT batch_id, @in_flight.b, 9, 1, 'Work' FROM "
     "tasker_step_execution_batch_steps"
     " WHERE workflow_step_id = @failed.only",
     "one_delivery_per_attempt", "has 1 attempts, but was delivered 2 times"},
    {"AttemptNeverSent",
     "DELETE FROM tasker_step_execution_batch_steps WHERE workflow_step_id = @in_flight.b",
     "one_delivery_per_attempt", "was delivered 0 times"},
    {"TwoResultsApplied",
     "UPDATE tasker_step_execution_batch_received_results SET disposition = 'applied' WHERE disposition = "
     "'duplicate'",
     "one_applied_result", "has 2 applied results"},
    {"StaleResultMovedItsStep",
     "UPDATE tasker_step_execution_batch_received_results SET disposition = 'stale_attempt'"
     " WHERE status = 'completed' AND disposition = 'applied' AND batch_step_id ="
     " (SELECT id FROM tasker_step_execution_batch_steps WHERE workflow_step_id = @complete.b)",
     "applied_result_moved_step", "has 0 applied results (0 completed), its history shows 1"},
    {"AppliedResultMovedNothing",
     "UPDATE tasker_step_execution_batch_received_results SET disposition = 'applied' WHERE disposition = "
     "'duplicate'",
     "applied_result_moved_step", "has 2 applied results"},
    {"CompletedByAnOldAttempt",
     "UPDATE tasker_step_execution_batch_steps SET attempt = 7 WHERE workflow_step_id = @complete.b",
     "result_is_current", "no completed result of that attempt was applied"},
    {"ResultsInAFailedStep",
     "UPDATE tasker_workflow_steps SET results = '{}' WHERE workflow_step_id = @failed.only",
     "result_contents", "is error with results"},
    {"ErrorWithoutReason",
     "UPDATE tasker_workflow_steps SET error = NULL WHERE workflow_step_id = @failed.only", "result_contents",
     "is error with no error"},
    {"ReportedWithoutLedger",
     "DELETE FROM tasker_step_execution_batch_received_results WHERE batch_step_id ="
     " (SELECT id FROM tasker_step_execution_batch_steps WHERE workflow_step_id = @failed.only)",
     "report_in_ledger", "is reported as error, but the ledger holds no such report"},
    {"LedgerWithoutReportedMark",
     "UPDATE tasker_step_execution_batch_steps SET reported_at = NULL, final_status = NULL"
     " WHERE workflow_step_id = @failed.only",
     "report_in_ledger", "is not reported, but the ledger holds 1 reports"},
    {"InProgressButNotOut",
     "UPDATE tasker_step_execution_batches SET state = 'timed_out' WHERE batch_id = (SELECT batch_id FROM"
     " tasker_step_execution_batch_steps WHERE workflow_step_id = @in_flight.b)",
     "step_in_flight", "is in progress (attempt 1), but out in 0 open batches"},
    {"OutButNotInProgress",
     "UPDATE tasker_workflow_steps SET state = 'waiting_for_retry', next_attempt_at = now()"
     " WHERE workflow_step_id = @in_flight.b",
     "delivery_in_flight", "which is waiting_for_retry at attempt 1"},
    {"OutWithAnOldAttempt",
     "UPDATE tasker_workflow_steps SET attempts = 2 WHERE workflow_step_id = @in_flight.b",
     "delivery_in_flight", "is in_progress at attempt 2"},
    // Batches.
    {"BatchHistoryWithAGap",
     "DELETE FROM tasker_step_execution_batch_transitions t USING tasker_step_execution_batches b"
     " WHERE b.batch_id = t.batch_id AND b.task_id = @failed AND t.sort_key = 3",
     "batch_history", "history has 3 entries up to 4"},
    {"BatchStateWithoutTransition",
     "UPDATE tasker_step_execution_batches SET state = 'partially_failed' WHERE task_id = @failed",
     "batch_history", "ending in failed"},
    {"MostRecentOnAnOldTransition",
     "UPDATE tasker_step_execution_batch_transitions t SET most_recent = false FROM "
     "tasker_step_execution_batches b"
     " WHERE b.batch_id = t.batch_id AND b.task_id = @failed;"
     "UPDATE tasker_step_execution_batch_transitions t SET most_recent = true FROM "
     "tasker_step_execution_batches b"
     " WHERE b.batch_id = t.batch_id AND b.task_id = @failed AND t.sort_key = 2",
     "batch_most_recent", "most_recent stands on transitions 2, expected on 4 alone"},
    {"BatchFromPublishedToFailed",
     "UPDATE tasker_step_execution_batch_transitions t SET from_state = 'published'"
     " FROM tasker_step_execution_batches b WHERE b.batch_id = t.batch_id AND b.task_id = @failed AND "
     "t.sort_key = 4",
     "batch_transitions", "is published -> failed (finish) after executing"},
    {"BatchWithoutOneOfItsSteps",
     "DELETE FROM tasker_step_execution_batch_steps WHERE workflow_step_id = @in_flight.b", "batch_size",
     "batch_size 2, but it has 1 deliveries"},
    {"BatchCountsTooManyReports",
     "UPDATE tasker_step_execution_batches SET partial_results_received = 2 WHERE task_id = @failed",
     "batch_counters", "partial_results_received 2"},
    {"CompletionNobodySent",
     "UPDATE tasker_step_execution_batches SET final_completion_received = true WHERE task_id = @in_flight"
     " AND state = 'published'",
     "batch_counters", "the ledger has 0 completions"},
    {"BatchCompletedThoughFailed",
     "UPDATE tasker_step_execution_batches SET state = 'completed' WHERE task_id = @failed", "batch_state",
     "expected failed"},
    {"BatchOpenThoughAllReported",
     "UPDATE tasker_step_execution_batches SET state = 'executing' WHERE task_id = @failed", "batch_state",
     "expected failed"},
    {"BatchEndedThoughAwaited",
     "UPDATE tasker_step_execution_batches SET state = 'completed' WHERE task_id = @in_flight AND state = "
     "'published'",
     "batch_state", "expected an open state"},
    {"ConsistentWithoutCompletion",
     "UPDATE tasker_step_execution_batches SET final_completion_received = false WHERE task_id = @failed",
     "reconciliation_verdict", "its completion is missing"},
    {"DiscrepancyWithoutReason",
     "UPDATE tasker_step_execution_batches SET reconciliation_status = 'discrepancy' WHERE task_id = @failed",
     "reconciliation_verdict", "is a discrepancy without saying what differs"},
    {"NeverReconciled",
     "UPDATE tasker_step_execution_batches SET reconciliation_status = 'pending', updated_at = now() - "
     "interval '1 hour'"
     " WHERE task_id = @failed; UPDATE tasker_orchestrators SET started_at = now() - interval '2 hours',"
     " last_seen_at = now()",
     "reconciliation_open", "and not reconciled, although an orchestrator served"},
};

}  // namespace

std::span<const Damage> damages() {
    return kDamages;
}

}  // namespace tasker::api
