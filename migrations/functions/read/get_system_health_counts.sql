-- One row of counts over everything. `retryable_error_steps` wait for a retry, `in_backoff_steps` are those of them
-- that are not due yet, `exhausted_retry_steps` are in error with their limit used up.
-- Reads only, scans whole tables, raises nothing. Called by `tasker health`, people and other languages. Without jit:
-- compiling takes longer than running.
CREATE OR REPLACE FUNCTION get_system_health_counts()
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
           (SELECT count(*) FROM tasker_step_execution_batches b WHERE tasker_is_open_batch(b.state)),
           (SELECT count(DISTINCT d.batch_id) FROM tasker_reconciliation_discrepancies d
            WHERE d.explained_by IS NULL AND d.acknowledged_at IS NULL),
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
