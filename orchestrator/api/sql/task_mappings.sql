-- The step ids of tasks by name.
SELECT coalesce(json_agg(row_to_json(x)), '[]')::text FROM (
    SELECT t.task_id, s.step_count, s.step_mapping, n.name AS namespace, nt.name, nt.version, t.state
    FROM tasker_tasks t
    JOIN tasker_named_tasks nt ON nt.named_task_id = t.named_task_id
    JOIN tasker_task_namespaces n ON n.task_namespace_id = t.namespace_id
    CROSS JOIN LATERAL (SELECT count(*) AS step_count,
                               json_object_agg(w.name, w.workflow_step_id ORDER BY w.workflow_step_id) AS step_mapping
                        FROM tasker_workflow_steps w WHERE w.task_id = t.task_id) s
    WHERE t.task_id = ANY ($1::bigint[]) ORDER BY t.task_id) x
