-- Nothing moves in a cancelled task.
SELECT 'step', s.workflow_step_id, s.task_id,
       format('is %s%s in a cancelled task', s.state,
              CASE WHEN s.ready_key IS NOT NULL THEN ' and ready' ELSE '' END)
FROM tasker_workflow_steps s JOIN tasker_tasks t ON t.task_id = s.task_id
WHERE t.state = 'cancelled'
  AND (s.state IN ('pending', 'in_progress', 'waiting_for_retry') OR s.ready_key IS NOT NULL)
