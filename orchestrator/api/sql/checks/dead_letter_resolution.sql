-- A dead letter was closed by what happened to its step.
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
                        WHEN 'cancelled' THEN t.state <> 'cancelled' ELSE false END
