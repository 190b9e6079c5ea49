-- The parents that do not exist, as places in the list.
SELECT r.ord, t.task_id IS NULL AS task_is_unknown
FROM jsonb_to_recordset($1::jsonb) AS r(ord int, task_id bigint, step_id bigint)
LEFT JOIN tasker_tasks t ON t.task_id = r.task_id
LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = r.step_id AND s.task_id = r.task_id
WHERE t.task_id IS NULL OR (r.step_id IS NOT NULL AND s.workflow_step_id IS NULL)
