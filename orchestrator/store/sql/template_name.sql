-- What a template is called: namespace/name version.
SELECT n.name || '/' || nt.name || ' ' || nt.version
FROM tasker_named_tasks nt JOIN tasker_task_namespaces n ON n.task_namespace_id = nt.task_namespace_id
WHERE nt.named_task_id = $1
