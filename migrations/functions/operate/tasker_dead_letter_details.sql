-- Everything a person needs to decide about a dead letter. `is_current`: it is about the step's last attempt and the
-- step is still in error. `late_result` is the output of a success that came too late.
-- `idempotency_key` is what the handler got in each attempt: ask other systems for it.
-- Read by `tasker dlq`, HTTP, people and other languages.
CREATE OR REPLACE VIEW tasker_dead_letter_details AS
    SELECT d.dead_letter_id, d.reason, d.workflow_step_id, s.name, d.attempt, d.task_id, n.name AS namespace,
           nt.name AS task_name, nt.version AS task_version, s.handler_class, d.last_error, d.last_worker,
           d.late_result IS NOT NULL AS has_late_result, d.late_result,
           d.resolved_at IS NULL AS is_open, s.state = 'error' AND s.attempts = d.attempt AS is_current,
           s.state, t.state AS task_state, s.attempts, s.unstarted_attempts, s.retry_limit, s.retryable, s.on_orphan,
           d.created_at, d.resolved_at, d.resolution, d.resolved_by, d.resolution_reason,
           (SELECT i.installation_uuid FROM tasker_installation i) || '-' || d.workflow_step_id AS idempotency_key
    FROM tasker_dead_letters d
    LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = d.workflow_step_id
    LEFT JOIN tasker_tasks t ON t.task_id = d.task_id
    LEFT JOIN tasker_named_tasks nt ON nt.named_task_id = t.named_task_id
    LEFT JOIN tasker_task_namespaces n ON n.task_namespace_id = t.namespace_id;
