-- The attempts of a step, in order, one row per delivery. `status`: how it ended (completed, failed, error,
-- handed_back, orphaned), else `running` or `sent`. `reason`: why it ended without a report. `error`: what the worker
-- reported, as it came; of the last attempt what the step kept. `started_at` is worked out where no start was
-- reported. `pause_seconds`: from its end to the next attempt.
-- Reads only, by index, raises nothing. Called by `tasker step show` and `tasker task show`, HTTP and other languages.
CREATE OR REPLACE FUNCTION tasker_step_attempts(p_step_id bigint)
RETURNS TABLE (attempt int, batch_id bigint, batch_uuid text, worker_id text, session text, sent_at timestamptz,
    started_at timestamptz, ended_at timestamptz, duration_ms bigint, status text, reason text, error json,
    pause_seconds double precision)
LANGUAGE sql STABLE SET jit = off SET enable_seqscan = off AS $$
    WITH sent AS (
        SELECT bs.attempt, bs.batch_id, b.batch_uuid::text AS batch_uuid, b.session::text AS session,
               bs.created_at AS sent_at, bs.started_at, bs.final_status::text AS final_status,
               bs.metadata ->> 'reason' AS reason, r.worker_id, r.execution_time_ms, r.error AS reported_error,
               -- One that became an orphan has no report; the step's history has the time.
               coalesce(bs.reported_at, CASE WHEN bs.final_status IS NOT NULL THEN bs.updated_at END) AS ended_at,
               lead(bs.created_at) OVER w AS next_sent_at, lead(bs.attempt) OVER w IS NULL AS is_last
        FROM tasker_step_execution_batch_steps bs
        JOIN tasker_step_execution_batches b ON b.batch_id = bs.batch_id
        LEFT JOIN LATERAL (
            -- Where the database could keep the report, its text can be taken apart.
            SELECT x.worker_id, x.execution_time_ms,
                   CASE WHEN x.processing_errors IS NULL AND x.status IN ('failed', 'error')
                        THEN x.raw_message_json -> 'error' END AS error
            FROM tasker_step_execution_batch_received_results x
            WHERE x.batch_id = bs.batch_id AND x.batch_step_id = bs.id AND x.message_type = 'partial_result'
              AND x.status <> 'in_progress'
            ORDER BY x.disposition = 'applied' DESC, x.id LIMIT 1) r ON true
        WHERE bs.workflow_step_id = p_step_id
        WINDOW w AS (ORDER BY bs.attempt, bs.batch_id)
    )
    SELECT a.attempt, a.batch_id, a.batch_uuid, coalesce(a.worker_id, k.worker_id)::text, a.session, a.sent_at,
           coalesce(a.started_at, a.ended_at - make_interval(secs => a.execution_time_ms / 1000.0)), a.ended_at,
           coalesce(a.execution_time_ms, (extract(epoch FROM a.ended_at - a.started_at) * 1000)::bigint),
           coalesce(a.final_status, CASE WHEN a.started_at IS NOT NULL THEN 'running' ELSE 'sent' END), a.reason,
           CASE WHEN a.is_last AND s.state IN ('error', 'waiting_for_retry') THEN coalesce(s.error::json, a.reported_error)
                ELSE a.reported_error END,
           extract(epoch FROM coalesce(a.next_sent_at, CASE WHEN a.is_last THEN s.next_attempt_at END) - a.ended_at)
               ::double precision
    FROM sent a
    JOIN tasker_workflow_steps s ON s.workflow_step_id = p_step_id
    LEFT JOIN tasker_workers k ON k.session = a.session
    ORDER BY a.attempt, a.batch_id
$$;
