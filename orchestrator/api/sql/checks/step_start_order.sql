-- A step was first started after its parents had finished. Judged by the database's clock, so a clock that was set
-- back may raise it; a second is allowed for lock waits.
SELECT 'step', s.workflow_step_id, s.task_id,
       format('%s was started at %s, its parent %s (step %s) finished only at %s', s.name, c.at, p.name,
              p.workflow_step_id, f.at)
FROM (SELECT workflow_step_id, min(created_at) AS at FROM tasker_workflow_step_transitions
      WHERE to_state = 'in_progress' GROUP BY workflow_step_id) c
JOIN tasker_workflow_steps s ON s.workflow_step_id = c.workflow_step_id
JOIN tasker_workflow_step_edges e ON e.to_step_id = s.workflow_step_id
JOIN tasker_workflow_steps p ON p.workflow_step_id = e.from_step_id
JOIN (SELECT workflow_step_id, max(created_at) AS at FROM tasker_workflow_step_transitions
      WHERE to_state IN ('complete', 'resolved_manually') GROUP BY workflow_step_id) f
    ON f.workflow_step_id = p.workflow_step_id
WHERE c.at < f.at - interval '1 second'
