-- One row per step of a task (or of those in `step_ids`). `ready_for_execution`: a worker with room would get it
-- now. `retry_eligible`: another attempt may follow by itself; the first one never depends on `retryable`.
-- `next_retry_at`: not before then (a backoff, or the task's not_before).
-- Reads only, raises nothing. Names and leading columns are those of the systems this one replaces; columns of our own
-- come last. Called by people and other languages. Without jit: compiling takes longer than running.
CREATE OR REPLACE FUNCTION get_step_readiness_status(input_task_id bigint, step_ids bigint[] DEFAULT NULL)
RETURNS TABLE (workflow_step_id bigint, task_id bigint, named_step_id int, name text, current_state text,
    dependencies_satisfied boolean, retry_eligible boolean, ready_for_execution boolean, last_failure_at timestamptz,
    next_retry_at timestamptz, total_parents int, completed_parents int, attempts int, retry_limit int,
    backoff_request_seconds double precision, last_attempted_at timestamptz, unstarted_attempts int)
LANGUAGE sql STABLE SET jit = off AS $$
    SELECT s.workflow_step_id, s.task_id, s.named_step_id, s.name::text, s.state::text,
           s.remaining_parents = 0,
           s.state IN ('pending', 'in_progress', 'waiting_for_retry')
               AND (s.attempts = s.unstarted_attempts
                    OR (s.retryable AND s.attempts - s.unstarted_attempts < s.retry_limit)),
           t.state IN ('pending', 'in_progress') AND s.state IN ('pending', 'waiting_for_retry')
               AND s.remaining_parents = 0
               AND (s.ready_key IS NOT NULL OR s.next_attempt_at <= clock_timestamp()),
           (SELECT max(h.created_at) FROM tasker_workflow_step_transitions h
            WHERE h.workflow_step_id = s.workflow_step_id AND h.to_state IN ('waiting_for_retry', 'error')),
           s.next_attempt_at, p.total, p.completed, s.attempts, s.retry_limit, s.backoff_request_seconds,
           s.last_attempted_at, s.unstarted_attempts
    FROM tasker_workflow_steps s
    JOIN tasker_tasks t ON t.task_id = s.task_id
    CROSS JOIN LATERAL (
        SELECT count(*)::int AS total,
               count(*) FILTER (WHERE ps.state IN ('complete', 'resolved_manually'))::int AS completed
        FROM tasker_workflow_step_edges e
        JOIN tasker_workflow_steps ps ON ps.workflow_step_id = e.from_step_id
        WHERE e.to_step_id = s.workflow_step_id) p
    WHERE s.task_id = input_task_id AND (step_ids IS NULL OR s.workflow_step_id = ANY (step_ids))
    ORDER BY s.workflow_step_id
$$;
