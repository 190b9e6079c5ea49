-- Results stand in complete steps and errors in failed ones.
SELECT 'step', s.workflow_step_id, s.task_id,
       format('%s is %s with %s', s.name, s.state, CASE WHEN s.results IS NOT NULL THEN 'results' WHEN
              s.error IS NULL THEN 'no error' ELSE 'an error' END)
FROM tasker_workflow_steps s
WHERE (s.results IS NOT NULL AND s.state NOT IN ('complete', 'resolved_manually'))
   OR (s.error IS NOT NULL AND s.state = 'complete')
   OR (s.error IS NULL AND s.state = 'error')
