-- A batch's task exists and owns all its steps.
SELECT 'batch', b.batch_id, b.task_id,
       CASE WHEN t.task_id IS NULL THEN format('belongs to task %s, which does not exist', b.task_id)
            ELSE format('belongs to task %s but delivers step %s of task %s', b.task_id, s.workflow_step_id,
                        s.task_id) END
FROM tasker_step_execution_batches b
LEFT JOIN tasker_tasks t ON t.task_id = b.task_id
LEFT JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = b.batch_id
LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
WHERE b.task_id IS NOT NULL
  AND (s.task_id <> b.task_id OR (t.task_id IS NULL AND NOT tasker_task_was_dropped(b.task_id)))
