-- A step in error for such a reason has a dead letter for its last attempt. A report that is not retryable, and a
-- permanent one, need no person beyond the step's own error.
SELECT 'step', s.workflow_step_id, s.task_id,
       format('%s is in error at attempt %s (%s) and has no dead letter for it', s.name, s.attempts, g.grounds)
FROM (SELECT s.workflow_step_id, s.task_id, s.name, s.attempts,
             CASE WHEN h.event = 'request_too_large' THEN 'request_too_large'
                  WHEN h.event = 'give_up' THEN 'handed_back_too_often'
                  WHEN h.metadata ->> 'reason' IN ('session_lost', 'timed_out', 'not_accepted',
                                                   'held_unstarted', 'absent', 'not_reported',
                                                   'handler_still_running', 'snoozes_exhausted')
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
                  WHERE d.workflow_step_id = g.workflow_step_id AND d.attempt = g.attempts)
