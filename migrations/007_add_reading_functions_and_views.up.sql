-- Questions people and other languages ask: why is this step not running, how far is this task, what was lost on
-- the way. Read-only, names and leading columns as in the systems this one replaces; columns of our own come last.
-- They may scan whole tables: nothing on the hot path calls them. Without jit, since compiling takes longer than running.

-- One row per step of a task (or of those in `step_ids`). `ready_for_execution`: a worker with room would get it
-- now. `retry_eligible`: another attempt may follow by itself; the first one never depends on `retryable`.
-- `next_retry_at`: not before then (a backoff, or the task's not_before).
CREATE FUNCTION get_step_readiness_status(input_task_id bigint, step_ids bigint[] DEFAULT NULL)
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

-- One row about a task, none when it does not exist. `failed_steps` are those in error or waiting for a retry.
-- Blocked is looked at first: a task with a failed step needs people even while its other branches go on.
CREATE FUNCTION get_task_execution_context(input_task_id bigint)
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

-- Roots are level 0, every other step stands one below its deepest parent. UNION keeps one row per (step, level),
-- so ladders of diamonds do not multiply; the bound keeps damaged edges (a cycle) from running for ever. OFFSET 0
-- makes each round look its edges up by index: on tables never analysed the planner would scan all of them, each time.
CREATE FUNCTION calculate_dependency_levels(input_task_id bigint)
RETURNS TABLE (workflow_step_id bigint, dependency_level int)
LANGUAGE sql STABLE SET jit = off AS $$
    WITH RECURSIVE steps AS MATERIALIZED (
        SELECT s.workflow_step_id FROM tasker_workflow_steps s WHERE s.task_id = input_task_id
    ), levels AS (
        SELECT s.workflow_step_id, 0 AS level FROM steps s
        WHERE NOT EXISTS (SELECT 1 FROM tasker_workflow_step_edges e WHERE e.to_step_id = s.workflow_step_id)
        UNION
        SELECT e.to_step_id, l.level + 1 FROM levels l
        CROSS JOIN LATERAL (SELECT x.to_step_id FROM tasker_workflow_step_edges x
                            WHERE x.from_step_id = l.workflow_step_id OFFSET 0) e
        WHERE l.level < (SELECT count(*) FROM steps)
    )
    SELECT l.workflow_step_id, max(l.level) FROM levels l GROUP BY l.workflow_step_id ORDER BY 2, 1
$$;

-- One row of counts over everything. `retryable_error_steps` wait for a retry, `in_backoff_steps` are those of them
-- that are not due yet, `exhausted_retry_steps` are in error with their limit used up.
CREATE FUNCTION get_system_health_counts()
RETURNS TABLE (total_tasks bigint, pending_tasks bigint, in_progress_tasks bigint, complete_tasks bigint,
    error_tasks bigint, cancelled_tasks bigint, total_steps bigint, pending_steps bigint, in_progress_steps bigint,
    complete_steps bigint, error_steps bigint, retryable_error_steps bigint, exhausted_retry_steps bigint,
    in_backoff_steps bigint, active_connections bigint, max_connections bigint, resolved_manually_tasks bigint,
    resolved_manually_steps bigint, cancelled_steps bigint, ready_steps bigint, open_batches bigint,
    discrepancies bigint, dead_letters bigint)
LANGUAGE sql STABLE SET jit = off AS $$
    SELECT t.total, t.pending, t.in_progress, t.complete, t.error, t.cancelled,
           s.total, s.pending, s.in_progress, s.complete, s.error, s.retrying, s.exhausted, s.backing_off,
           (SELECT count(*) FROM pg_stat_activity a WHERE a.datname = current_database() AND a.state = 'active'),
           (SELECT p.setting::bigint FROM pg_settings p WHERE p.name = 'max_connections'),
           t.resolved, s.resolved, s.cancelled, s.ready,
           (SELECT count(*) FROM tasker_step_execution_batches b WHERE b.state IN ('created', 'published', 'executing')),
           (SELECT count(*) FROM tasker_step_execution_batches b WHERE b.reconciliation_status = 'discrepancy'),
           (SELECT count(*) FROM tasker_dead_letters d WHERE d.resolved_at IS NULL)
    FROM (SELECT count(*) AS total,
                 count(*) FILTER (WHERE state = 'pending') AS pending,
                 count(*) FILTER (WHERE state = 'in_progress') AS in_progress,
                 count(*) FILTER (WHERE state = 'complete') AS complete,
                 count(*) FILTER (WHERE state = 'error') AS error,
                 count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
                 count(*) FILTER (WHERE state = 'resolved_manually') AS resolved
          FROM tasker_tasks) t
    CROSS JOIN (SELECT count(*) AS total,
                       count(*) FILTER (WHERE state = 'pending') AS pending,
                       count(*) FILTER (WHERE state = 'in_progress') AS in_progress,
                       count(*) FILTER (WHERE state = 'complete') AS complete,
                       count(*) FILTER (WHERE state = 'error') AS error,
                       count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
                       count(*) FILTER (WHERE state = 'resolved_manually') AS resolved,
                       count(*) FILTER (WHERE state = 'waiting_for_retry') AS retrying,
                       count(*) FILTER (WHERE state = 'error' AND attempts - unstarted_attempts >= retry_limit)
                           AS exhausted,
                       count(*) FILTER (WHERE state = 'waiting_for_retry' AND ready_key IS NULL
                                        AND next_attempt_at > clock_timestamp()) AS backing_off,
                       count(*) FILTER (WHERE ready_key IS NOT NULL) AS ready
                FROM tasker_workflow_steps) s
$$;

-- One row per difference between a batch's partial results and its completion.
CREATE VIEW tasker_reconciliation_discrepancies AS
    SELECT b.batch_id, b.batch_uuid, b.task_id, b.handler_class, b.state, b.session, d.difference ->> 'kind' AS kind,
           (d.difference ->> 'step_id')::bigint AS workflow_step_id, d.difference ->> 'detail' AS detail,
           b.partial_results_received, b.final_completion_received, b.batch_size, b.created_at, b.updated_at
    FROM tasker_step_execution_batches b
    LEFT JOIN LATERAL jsonb_array_elements(
        CASE WHEN jsonb_typeof(b.metadata -> 'discrepancies') = 'array' THEN b.metadata -> 'discrepancies'
             ELSE '[]' END) AS d(difference) ON true
    WHERE b.reconciliation_status = 'discrepancy';

-- Steps of open batches that nobody has reported or handed back yet.
CREATE VIEW tasker_steps_without_results AS
    SELECT b.batch_id, b.batch_uuid, b.state AS batch_state, b.session, bs.id AS batch_step_id, bs.workflow_step_id,
           s.task_id, s.name, s.state, bs.attempt, bs.sequence_order, bs.started_at, b.created_at AS published_at
    FROM tasker_step_execution_batches b
    JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = b.batch_id
    LEFT JOIN tasker_workflow_steps s ON s.workflow_step_id = bs.workflow_step_id
    WHERE b.state IN ('created', 'published', 'executing') AND bs.reported_at IS NULL AND bs.final_status IS NULL;

-- In flight, but the session it was sent to is gone. A plain worker has no session and cannot be judged so; its
-- batches appear in tasker_overdue_batches.
CREATE VIEW tasker_orphaned_steps AS
    SELECT r.workflow_step_id, r.task_id, r.name, r.attempt, r.batch_id, r.batch_uuid, r.session, w.worker_id,
           w.last_heartbeat_at, coalesce(w.state, 'unknown') AS session_state, r.started_at, r.published_at
    FROM tasker_steps_without_results r
    LEFT JOIN tasker_workers w ON w.session = r.session
    WHERE r.state = 'in_progress' AND r.session IS NOT NULL AND (w.session IS NULL OR w.state IN ('lost', 'gone'));

-- Open batches older than the time-out of their steps.
CREATE VIEW tasker_overdue_batches AS
    SELECT b.batch_id, b.batch_uuid, b.task_id, b.handler_class, b.state, b.session, b.batch_size, b.timeout_seconds,
           b.created_at, b.created_at + make_interval(secs => b.timeout_seconds) AS due_at,
           extract(epoch FROM clock_timestamp() - b.created_at)::bigint - b.timeout_seconds AS overdue_seconds,
           (SELECT count(*) FROM tasker_step_execution_batch_steps bs
            WHERE bs.batch_id = b.batch_id AND bs.reported_at IS NULL AND bs.final_status IS NULL) AS steps_missing
    FROM tasker_step_execution_batches b
    WHERE b.state IN ('created', 'published', 'executing')
      AND b.created_at + make_interval(secs => b.timeout_seconds) < clock_timestamp();

-- The graph of each task. Ask for a task (WHERE task_id = …): depths are computed task by task.
CREATE VIEW tasker_step_dag_relationships AS
    SELECT s.workflow_step_id, t.task_id, s.named_step_id, s.name,
           to_jsonb(p.ids) AS parent_step_ids, to_jsonb(c.ids) AS child_step_ids,
           cardinality(p.ids) AS parent_count, cardinality(c.ids) AS child_count,
           cardinality(p.ids) = 0 AS is_root_step, cardinality(c.ids) = 0 AS is_leaf_step,
           d.depth AS min_depth_from_root
    FROM tasker_tasks t
    CROSS JOIN LATERAL (
        WITH RECURSIVE steps AS MATERIALIZED (
            SELECT ts.workflow_step_id FROM tasker_workflow_steps ts WHERE ts.task_id = t.task_id
        ), depths AS (
            SELECT steps.workflow_step_id, 0 AS depth FROM steps
            WHERE NOT EXISTS (SELECT 1 FROM tasker_workflow_step_edges e
                              WHERE e.to_step_id = steps.workflow_step_id)
            UNION
            SELECT e.to_step_id, depths.depth + 1 FROM depths
            CROSS JOIN LATERAL (SELECT x.to_step_id FROM tasker_workflow_step_edges x
                                WHERE x.from_step_id = depths.workflow_step_id OFFSET 0) e
            WHERE depths.depth < (SELECT count(*) FROM steps)
        )
        SELECT depths.workflow_step_id, min(depths.depth) AS depth FROM depths GROUP BY depths.workflow_step_id) d
    JOIN tasker_workflow_steps s ON s.workflow_step_id = d.workflow_step_id
    CROSS JOIN LATERAL (SELECT ARRAY(SELECT e.from_step_id FROM tasker_workflow_step_edges e
                                     WHERE e.to_step_id = s.workflow_step_id ORDER BY 1) AS ids) p
    CROSS JOIN LATERAL (SELECT ARRAY(SELECT e.to_step_id FROM tasker_workflow_step_edges e
                                     WHERE e.from_step_id = s.workflow_step_id ORDER BY 1) AS ids) c;
