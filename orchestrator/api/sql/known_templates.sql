-- The names and versions of all templates, to suggest one from.
SELECT n.name || '/' || nt.name AS full_name, nt.version
FROM tasker_named_tasks nt JOIN tasker_task_namespaces n ON n.task_namespace_id = nt.task_namespace_id
ORDER BY 1, 2
