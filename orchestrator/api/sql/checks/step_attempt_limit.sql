-- Counted attempts stay within the limit.
SELECT 'step', s.workflow_step_id, s.task_id,
       format('%s has %s counted attempts (%s - %s unstarted), allowed are %s', s.name,
              s.attempts - s.unstarted_attempts, s.attempts, s.unstarted_attempts,
              CASE WHEN s.retryable THEN s.retry_limit ELSE 1 + coalesce(r.retries, 0) END)
FROM tasker_workflow_steps s
LEFT JOIN (SELECT workflow_step_id, count(*) AS retries FROM tasker_workflow_step_transitions
           WHERE from_state = 'error' AND to_state = 'pending' GROUP BY workflow_step_id) r
    ON r.workflow_step_id = s.workflow_step_id
WHERE s.attempts - s.unstarted_attempts >
      CASE WHEN s.retryable THEN s.retry_limit ELSE 1 + coalesce(r.retries, 0) END
