-- An open dead letter stands for a step whose last attempt ended in error.
SELECT 'dead letter', d.dead_letter_id, d.task_id,
       CASE WHEN d.resolved_at IS NULL AND t.state = 'cancelled'
            THEN format('is open, but its task %s is cancelled', d.task_id)
            ELSE format('is open for attempt %s of step %s (%s), which is %s at attempt %s', d.attempt,
                        d.workflow_step_id, d.reason, s.state, s.attempts) END
FROM tasker_dead_letters d
JOIN tasker_workflow_steps s ON s.workflow_step_id = d.workflow_step_id
JOIN tasker_tasks t ON t.task_id = s.task_id
WHERE (d.resolved_at IS NULL AND (s.state <> 'error' OR s.attempts <> d.attempt OR t.state = 'cancelled'))
   OR d.attempt > s.attempts
