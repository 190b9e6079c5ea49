-- Every step transition belongs to a step and names its task.
SELECT 'step transition', h.workflow_step_id, h.task_id,
       format('transition %s belongs to step %s of task %s, which does not exist', h.sort_key,
              h.workflow_step_id, h.task_id)
FROM tasker_workflow_step_transitions h
LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = h.workflow_step_id AND s.task_id = h.task_id
WHERE s.workflow_step_id IS NULL
