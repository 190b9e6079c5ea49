-- Steps in flight whose session is gone. A plain worker has no session and cannot be judged so; its batches appear in
-- tasker_overdue_batches. Read by people and other languages.
-- after: tasker_steps_without_results
CREATE OR REPLACE VIEW tasker_orphaned_steps AS
    SELECT r.workflow_step_id, r.task_id, r.name, r.attempt, r.batch_id, r.batch_uuid, r.session, w.worker_id,
           w.last_heartbeat_at, coalesce(w.state, 'unknown') AS session_state, r.started_at, r.published_at
    FROM tasker_steps_without_results r
    LEFT JOIN tasker_workers w ON w.session = r.session
    WHERE r.state = 'in_progress' AND r.session IS NOT NULL AND (w.session IS NULL OR w.state IN ('lost', 'left', 'gone'));
