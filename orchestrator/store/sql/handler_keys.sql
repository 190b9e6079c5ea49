-- Every handler with the number that stands for it.
SELECT k.handler_key, n.name, k.handler_class
FROM tasker_handler_keys k JOIN tasker_task_namespaces n ON n.task_namespace_id = k.namespace_id
ORDER BY k.handler_key
