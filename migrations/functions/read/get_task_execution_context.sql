-- One row about a task, none when it does not exist. `failed_steps` are those in error or waiting for a retry.
-- Blocked is looked at first: a task with a failed step needs people even while its other branches go on.
-- Reads only, raises nothing. Names and leading columns are those of the systems this one replaces; columns of our own
-- come last. Called by `tasker task show`, people and other languages. Without jit: compiling takes longer than
-- running.
CREATE OR REPLACE FUNCTION get_task_execution_context(input_task_id bigint)
RETURNS TABLE (task_id bigint, named_task_id int, status text, total_steps bigint, pending_steps bigint,
    in_progress_steps bigint, completed_steps bigint, failed_steps bigint, ready_steps bigint, execution_status text,
    recommended_action text, completion_percentage numeric, health_status text, waiting_for_retry_steps bigint,
    error_steps bigint, cancelled_steps bigint)
LANGUAGE sql STABLE SET jit = off AS $$
    SELECT t.task_id, t.named_task_id, t.state::text, c.total, c.pending, c.in_progress, c.completed, c.retrying + c.failed,
           c.ready,
           CASE WHEN t.state = 'cancelled' THEN 'cancelled'
                WHEN c.failed > 0 AND t.state <> 'resolved_manually' THEN 'blocked_by_failures'
                WHEN c.ready > 0 THEN 'has_ready_steps'
                WHEN c.in_progress > 0 THEN 'processing'
                WHEN t.state = 'resolved_manually' OR (c.total > 0 AND c.completed = c.total) THEN 'all_complete'
                ELSE 'waiting_for_dependencies' END,
           CASE WHEN t.state IN ('complete', 'cancelled', 'resolved_manually') THEN 'none'
                WHEN c.failed > 0 THEN 'handle_failures'
                WHEN c.ready > 0 THEN 'execute_ready_steps'
                WHEN c.in_progress > 0 THEN 'wait_for_completion'
                WHEN c.total > 0 AND c.completed = c.total THEN 'finalize_task'
                ELSE 'wait_for_dependencies' END,
           CASE WHEN c.total > 0 THEN round(100.0 * c.completed / c.total, 2) ELSE 0.0 END,
           CASE WHEN t.state = 'cancelled' THEN 'unknown'
                WHEN c.failed > 0 AND t.state <> 'resolved_manually' THEN 'blocked'
                WHEN c.retrying > 0 THEN 'recovering'
                ELSE 'healthy' END,
           c.retrying, c.failed, c.cancelled
    FROM tasker_tasks t
    CROSS JOIN LATERAL (
        SELECT count(*) AS total,
               count(*) FILTER (WHERE s.state = 'pending') AS pending,
               count(*) FILTER (WHERE s.state = 'in_progress') AS in_progress,
               count(*) FILTER (WHERE s.state IN ('complete', 'resolved_manually')) AS completed,
               count(*) FILTER (WHERE s.state = 'waiting_for_retry') AS retrying,
               count(*) FILTER (WHERE s.state = 'error') AS failed,
               count(*) FILTER (WHERE s.state = 'cancelled') AS cancelled,
               count(*) FILTER (WHERE t.state IN ('pending', 'in_progress') AND s.remaining_parents = 0
                                AND s.state IN ('pending', 'waiting_for_retry')
                                AND (s.ready_key IS NOT NULL OR s.next_attempt_at <= clock_timestamp())) AS ready
        FROM tasker_workflow_steps s WHERE s.task_id = t.task_id) c
    WHERE t.task_id = input_task_id
$$;
