-- A step that was started has all its parents complete or resolved.
SELECT 'step', s.workflow_step_id, s.task_id,
       format('%s (%s, attempt %s) was started, but its parent %s (step %s) is %s', s.name, s.state, s.attempts,
              p.name, p.workflow_step_id, p.state)
FROM tasker_workflow_steps s
JOIN tasker_workflow_step_edges e ON e.to_step_id = s.workflow_step_id
JOIN tasker_workflow_steps p ON p.workflow_step_id = e.from_step_id
WHERE (s.attempts > 0 OR s.state IN ('in_progress', 'waiting_for_retry', 'complete'))
  AND p.state NOT IN ('complete', 'resolved_manually')
