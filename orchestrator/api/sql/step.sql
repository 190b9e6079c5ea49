-- One step with its place in its task and all its attempts.
SELECT row_to_json(x)::text FROM (
    SELECT s.*, n.name AS namespace, nt.name AS task_name, nt.version, t.state AS task_state,
           (SELECT coalesce(json_agg(p.name ORDER BY p.workflow_step_id), '[]')
            FROM tasker_workflow_step_edges e JOIN tasker_workflow_steps p ON p.workflow_step_id = e.from_step_id
            WHERE e.to_step_id = s.workflow_step_id) AS depends_on,
           (SELECT coalesce(json_agg(p.name ORDER BY p.workflow_step_id), '[]') FROM tasker_workflow_steps p
            WHERE p.workflow_step_id = ANY (s.result_step_ids)) AS results_from,
           (SELECT coalesce(json_agg(row_to_json(a) ORDER BY a.attempt, a.batch_id), '[]')
            FROM tasker_step_attempts(s.workflow_step_id) a) AS attempt_history,
           tasker_max_snoozes(s.task_id, s.name) AS max_snoozes,
           (SELECT max(d.dead_letter_id) FROM tasker_dead_letters d
            WHERE d.workflow_step_id = s.workflow_step_id AND d.resolved_at IS NULL) AS dead_letter_id
    FROM tasker_workflow_steps s
    JOIN tasker_tasks t ON t.task_id = s.task_id
    JOIN tasker_named_tasks nt ON nt.named_task_id = t.named_task_id
    JOIN tasker_task_namespaces n ON n.task_namespace_id = t.namespace_id
    WHERE s.workflow_step_id = $1) x
