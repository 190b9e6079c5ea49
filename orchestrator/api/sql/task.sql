-- One task with its steps, and the attempts of those that failed or were repeated; with $2 also the histories of all.
SELECT row_to_json(x)::text FROM (
    SELECT t.*, n.name AS namespace, nt.name, nt.version,
           (SELECT row_to_json(c) FROM get_task_execution_context(t.task_id) c) AS execution,
           CASE WHEN $2 THEN (SELECT coalesce(json_agg(row_to_json(h) ORDER BY h.sort_key), '[]')
                              FROM tasker_task_transitions h WHERE h.task_id = t.task_id) END AS transitions,
           (SELECT coalesce(json_agg(row_to_json(s) ORDER BY s.workflow_step_id), '[]') FROM (
                SELECT w.*, (SELECT coalesce(json_agg(p.name ORDER BY p.workflow_step_id), '[]')
                             FROM tasker_workflow_step_edges e
                             JOIN tasker_workflow_steps p ON p.workflow_step_id = e.from_step_id
                             WHERE e.to_step_id = w.workflow_step_id) AS depends_on,
                       CASE WHEN w.attempts > 1 OR w.state IN ('error', 'waiting_for_retry') THEN
                           (SELECT json_agg(row_to_json(a) ORDER BY a.attempt, a.batch_id)
                            FROM tasker_step_attempts(w.workflow_step_id) a) END AS attempt_history,
                       CASE WHEN $2 THEN (SELECT coalesce(json_agg(row_to_json(h) ORDER BY h.sort_key), '[]')
                                          FROM tasker_workflow_step_transitions h
                                          WHERE h.workflow_step_id = w.workflow_step_id) END AS transitions
                FROM tasker_workflow_steps w WHERE w.task_id = t.task_id) s) AS steps
    FROM tasker_tasks t
    JOIN tasker_named_tasks nt ON nt.named_task_id = t.named_task_id
    JOIN tasker_task_namespaces n ON n.task_namespace_id = t.namespace_id
    WHERE t.task_id = $1) x
