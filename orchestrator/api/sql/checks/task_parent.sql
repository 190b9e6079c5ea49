-- A task's parent task and parent step exist.
SELECT 'task', t.task_id, t.task_id,
       format('has parent task %s, step %s: no such step of such a task', t.parent_task_id,
              coalesce(t.parent_step_id::text, '-'))
FROM tasker_tasks t
LEFT JOIN tasker_tasks p ON p.task_id = t.parent_task_id
LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = t.parent_step_id AND s.task_id = t.parent_task_id
WHERE ((t.parent_task_id IS NOT NULL AND p.task_id IS NULL)
       OR (t.parent_step_id IS NOT NULL AND s.workflow_step_id IS NULL))
  AND NOT (p.task_id IS NULL AND tasker_task_was_dropped(t.parent_task_id))
