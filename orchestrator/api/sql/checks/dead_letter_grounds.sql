-- A dead letter's attempt ended in error for the reason it gives. The attempt of a transition is the number of claims
-- before it.
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
          WHEN 'handed_back_too_often' THEN e.event = 'give_up'
          WHEN 'request_not_built' THEN e.event = 'request_too_large'
          WHEN 'retries_exhausted' THEN bs.final_status = 'failed'
          WHEN 'handler_still_running' THEN e.metadata ->> 'reason' = d.reason OR bs.final_status = 'failed'
          WHEN 'snoozes_exhausted' THEN e.metadata ->> 'reason' = d.reason
          WHEN 'session_lost' THEN e.metadata ->> 'reason' = d.reason
          WHEN 'timed_out' THEN e.metadata ->> 'reason' = d.reason
          WHEN 'not_accepted' THEN e.metadata ->> 'reason' = d.reason
          WHEN 'held_unstarted' THEN e.metadata ->> 'reason' = d.reason
          WHEN 'absent' THEN e.metadata ->> 'reason' = d.reason
          WHEN 'not_reported' THEN e.metadata ->> 'reason' = d.reason
          ELSE false END, false))
