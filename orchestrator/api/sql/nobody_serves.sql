-- Who is missing right now for these tasks' first steps: the orchestrator, or a worker for these handlers.
SELECT coalesce((SELECT o.down FROM tasker_ruling_orchestrator() o), true) AS orchestrator_down,
       coalesce((SELECT json_agg(json_build_object('namespace', n.name, 'handler_class', k.handler_class)
                                 ORDER BY n.name, k.handler_class)
                 FROM tasker_handler_keys k
                 JOIN tasker_task_namespaces n ON n.task_namespace_id = k.namespace_id
                 WHERE k.handler_key IN (SELECT s.handler_key FROM tasker_workflow_steps s
                                         WHERE s.task_id = ANY ($1::bigint[]) AND s.state = 'pending'
                                           AND s.remaining_parents = 0)
                   AND NOT EXISTS (SELECT FROM tasker_ruling_orchestrator() o
                                   CROSS JOIN LATERAL tasker_sessions_serving(ARRAY[k.handler_key::int], o.epoch))),
                '[]')::text AS handlers
