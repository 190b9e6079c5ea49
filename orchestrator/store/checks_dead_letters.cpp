// Dead letters hold exactly what they should: orphans that end in error, failures at the limit, requests too
// large to be sent; nothing else. The grounds are in the step's history (an orphan's transition names its
// reason), on the delivery of that attempt, and in the ledger.
#include "orchestrator/store/checks.hpp"

namespace tasker::store {
namespace {

constexpr Check kChecks[] = {
    {"dead_letters", "I9", "an open dead letter stands for a step whose last attempt ended in error", R"(
        SELECT 'dead letter', d.dead_letter_id, d.task_id,
               CASE WHEN d.resolved_at IS NULL AND t.state = 'cancelled'
                    THEN format('is open, but its task %s is cancelled', d.task_id)
                    ELSE format('is open for attempt %s of step %s (%s), which is %s at attempt %s', d.attempt,
                                d.workflow_step_id, d.reason, s.state, s.attempts) END
        FROM tasker_dead_letters d
        JOIN tasker_workflow_steps s ON s.workflow_step_id = d.workflow_step_id
        JOIN tasker_tasks t ON t.task_id = s.task_id
        WHERE (d.resolved_at IS NULL AND (s.state <> 'error' OR s.attempts <> d.attempt OR t.state = 'cancelled'))
           OR d.attempt > s.attempts)"},
    {"dead_letter_resolution", "I9", "a dead letter was closed by what happened to its step", R"(
        SELECT 'dead letter', d.dead_letter_id, d.task_id,
               format('was closed as %s, but step %s is %s in a task that is %s and was retried %s times',
                      d.resolution, d.workflow_step_id, s.state, t.state, coalesce(h.retries, 0))
        FROM tasker_dead_letters d
        JOIN tasker_workflow_steps s ON s.workflow_step_id = d.workflow_step_id
        JOIN tasker_tasks t ON t.task_id = s.task_id
        LEFT JOIN (SELECT workflow_step_id, count(*) AS retries FROM tasker_workflow_step_transitions
                   WHERE event = 'retry' GROUP BY workflow_step_id) h ON h.workflow_step_id = s.workflow_step_id
        WHERE CASE d.resolution WHEN 'replayed' THEN h.retries IS NULL
                                WHEN 'resolved' THEN s.state <> 'resolved_manually'
                                WHEN 'cancelled' THEN t.state <> 'cancelled' ELSE false END)"},
    // The attempt of a transition is the number of claims before it.
    {"dead_letter_grounds", "I9", "a dead letter's attempt ended in error for the reason it gives", R"(
        SELECT 'dead letter', d.dead_letter_id, d.task_id,
               CASE WHEN e.workflow_step_id IS NULL
                    THEN format('is about attempt %s of step %s, which did not end in error', d.attempt,
                                d.workflow_step_id)
                    ELSE format('says %s about attempt %s of step %s, which ended in error by %s (%s) with its delivery %s',
                                d.reason, d.attempt, d.workflow_step_id, e.event,
                                coalesce(e.metadata ->> 'reason', 'no reason'),
                                coalesce(bs.final_status, 'unreported')) END
        FROM tasker_dead_letters d
        LEFT JOIN (SELECT h.*, count(*) FILTER (WHERE h.to_state = 'in_progress')
                                   OVER (PARTITION BY h.workflow_step_id ORDER BY h.sort_key) AS attempt
                   FROM tasker_workflow_step_transitions h
                   WHERE h.workflow_step_id IN (SELECT x.workflow_step_id FROM tasker_dead_letters x)) e
            ON e.workflow_step_id = d.workflow_step_id AND e.attempt = d.attempt AND e.to_state = 'error'
        LEFT JOIN tasker_step_execution_batch_steps bs
            ON bs.workflow_step_id = d.workflow_step_id AND bs.attempt = d.attempt
        WHERE (e.workflow_step_id IS NULL AND NOT tasker_task_was_dropped(d.task_id))
           OR (e.workflow_step_id IS NOT NULL AND NOT coalesce(CASE d.reason
                  WHEN 'request_too_large' THEN e.event = 'request_too_large'
                  WHEN 'retries_exhausted' THEN bs.final_status = 'failed'
                  WHEN 'handler_still_running' THEN e.metadata ->> 'reason' = d.reason OR bs.final_status = 'failed'
                  WHEN 'session_lost' THEN e.metadata ->> 'reason' = d.reason
                  WHEN 'timed_out' THEN e.metadata ->> 'reason' = d.reason
                  WHEN 'not_accepted' THEN e.metadata ->> 'reason' = d.reason
                  WHEN 'held_unstarted' THEN e.metadata ->> 'reason' = d.reason
                  WHEN 'absent' THEN e.metadata ->> 'reason' = d.reason
                  ELSE false END, false)))"},
    // A report that is not retryable, and a permanent one, need no person beyond the step's own error.
    {"dead_letter_missing", "I9", "a step in error for such a reason has a dead letter for its last attempt",
     R"(
        SELECT 'step', s.workflow_step_id, s.task_id,
               format('%s is in error at attempt %s (%s) and has no dead letter for it', s.name, s.attempts, g.grounds)
        FROM (SELECT s.workflow_step_id, s.task_id, s.name, s.attempts,
                     CASE WHEN h.event = 'request_too_large' THEN 'request_too_large'
                          WHEN h.metadata ->> 'reason' IN ('session_lost', 'timed_out', 'not_accepted',
                                                           'held_unstarted', 'absent', 'handler_still_running')
                          THEN h.metadata ->> 'reason'
                          WHEN bs.final_status = 'orphaned' THEN 'orphaned'
                          WHEN bs.final_status = 'failed' AND s.retryable
                               AND s.error ->> 'retryable' IS DISTINCT FROM 'false'
                          THEN CASE WHEN s.attempts - s.unstarted_attempts >= s.retry_limit THEN 'retries_exhausted'
                                    WHEN s.error ->> 'handler_stopped' = 'false' THEN 'handler_still_running' END
                     END AS grounds
              FROM tasker_workflow_steps s
              JOIN tasker_workflow_step_transitions h
                  ON h.workflow_step_id = s.workflow_step_id AND h.sort_key = s.transition_count
              LEFT JOIN tasker_step_execution_batch_steps bs
                  ON bs.workflow_step_id = s.workflow_step_id AND bs.attempt = s.attempts
              WHERE s.state = 'error') g
        JOIN tasker_workflow_steps s ON s.workflow_step_id = g.workflow_step_id
        WHERE g.grounds IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM tasker_dead_letters d
                          WHERE d.workflow_step_id = g.workflow_step_id AND d.attempt = g.attempts))"},
};

}  // namespace

std::span<const Check> dead_letter_checks() {
    return kChecks;
}

}  // namespace tasker::store
