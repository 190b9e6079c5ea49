-- One stored revision of a named task: the newest, or the one $4 revisions before it. $1 namespace, $2 name, $3 version
-- (the highest when it is null).
SELECT nt.version, tt.revision, tt.digest, tt.configuration::text AS configuration
FROM tasker_find_template($1, $2, $3) f
JOIN tasker_task_templates newest ON newest.task_template_id = f.task_template_id
JOIN tasker_named_tasks nt ON nt.named_task_id = newest.named_task_id
JOIN tasker_task_templates tt ON tt.named_task_id = newest.named_task_id
ORDER BY tt.revision DESC LIMIT 1 OFFSET $4
