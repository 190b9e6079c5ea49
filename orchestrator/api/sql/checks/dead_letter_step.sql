-- Every dead letter is about a step and names its task.
SELECT 'dead letter', d.dead_letter_id, d.task_id,
       format('is about step %s of task %s, which does not exist', d.workflow_step_id, d.task_id)
FROM tasker_dead_letters d
LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = d.workflow_step_id AND s.task_id = d.task_id
WHERE s.workflow_step_id IS NULL AND (d.resolved_at IS NULL OR NOT tasker_task_was_dropped(d.task_id))
