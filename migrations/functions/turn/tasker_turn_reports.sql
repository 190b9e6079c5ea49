-- The section `reports` of a turn: judges each first final report, then writes the steps, the deliveries, the ledger
-- and the steps' history, and finds out which children have one parent less. One statement, since a further one costs
-- 30 to 80 µs before its first row.
-- Locks: the steps and deliveries it writes; the turn holds their tasks. It reads after that lock, so it sees what the
-- lock waited for. p_low_task, p_low_batch: no id of the messages is lower, so that old partitions stay closed.
-- Returns what the reports did. Raises 40001 when a step changed meanwhile.
-- Called by tasker_turn, whose comment explains m_*.
CREATE OR REPLACE FUNCTION tasker_turn_reports(p_now timestamptz, p_low_task bigint, p_low_batch bigint,
    m_class text[], m_batch_id bigint[], m_batch_step_id bigint[], m_step_id bigint[], m_task_id bigint[],
    m_attempt int[], m_type text[], m_status text[], m_worker text[], m_session text[], m_sequence bigint[],
    m_exec_ms bigint[], m_raw text[], m_output text[], m_error text[], m_bytes int[], m_retryable boolean[],
    m_handler_stopped boolean[], m_backoff double precision[], m_unusable boolean[]) RETURNS tasker_turn_reported
LANGUAGE plpgsql AS $$
DECLARE
    v_done tasker_turn_reported; v_expected int; v_count int;
BEGIN
    WITH judged AS MATERIALIZED (
        SELECT r.*, s.state AS old_state, s.transition_count + 1 AS sort_key, s.retryable AS step_retryable,
            CASE WHEN r.class <> 'final' THEN r.class
                 WHEN s.state IS NULL OR bs.batch_id IS NULL THEN 'unknown'
                 ELSE tasker_report_disposition(bs.reported_at, s.attempts, r.attempt, s.state,
                          r.status = 'completed' AND NOT r.unusable) END AS disposition,
            tasker_step_verdict(CASE WHEN r.unusable THEN 'error' ELSE r.status END, r.retryable, r.handler_stopped,
                s.retryable, s.on_orphan, s.attempts - s.unstarted_attempts, s.retry_limit) AS verdict
        FROM unnest(m_class, m_batch_id, m_batch_step_id, m_step_id, m_task_id, m_attempt, m_type, m_status, m_worker,
                m_session, m_sequence, m_exec_ms, m_raw, m_output, m_error, m_bytes, m_retryable, m_handler_stopped,
                m_backoff, m_unusable)
            WITH ORDINALITY AS r(class, batch_id, batch_step_id, step_id, task_id, attempt, type, status, worker,
                session, sequence, exec_ms, raw, output, error, bytes, retryable, handler_stopped, backoff, unusable,
                ord)
        LEFT JOIN tasker_workflow_steps s ON r.class = 'final' AND s.workflow_step_id = r.step_id
            AND s.task_id >= p_low_task
        LEFT JOIN tasker_step_execution_batch_steps bs ON r.class = 'final' AND bs.batch_id = r.batch_id
            AND bs.workflow_step_id = r.step_id AND bs.batch_id >= p_low_batch
    ), steps AS (
        UPDATE tasker_workflow_steps s SET state = j.verdict, transition_count = j.sort_key, ready_key = NULL,
            processed_at = CASE WHEN j.verdict <> 'waiting_for_retry' THEN p_now END,
            results = CASE WHEN j.verdict = 'complete' THEN j.output::jsonb END,
            error = CASE WHEN j.verdict <> 'complete' THEN j.error::jsonb END,
            backoff_request_seconds = CASE WHEN j.verdict = 'waiting_for_retry' THEN j.backoff END,
            next_attempt_at = CASE WHEN j.verdict = 'waiting_for_retry'
                                   THEN p_now + make_interval(secs => coalesce(j.backoff, 0)) END
        FROM judged j
        WHERE j.disposition = 'applied' AND s.workflow_step_id = j.step_id AND s.task_id >= p_low_task
          AND s.attempts = j.attempt AND s.state = j.old_state
        RETURNING 1
    ), deliveries AS (
        -- A delivery that was handed back has left its batch's expectation, and an orphan stays one: a late
        -- report does not bring them back.
        UPDATE tasker_step_execution_batch_steps bs SET reported_at = p_now, updated_at = p_now,
            final_status = coalesce(bs.final_status, j.status)
        FROM judged j
        WHERE j.class = 'final' AND j.disposition NOT IN ('duplicate', 'unknown') AND bs.batch_id = j.batch_id
          AND bs.workflow_step_id = j.step_id AND bs.batch_id >= p_low_batch
    ), ledger AS (
        INSERT INTO tasker_step_execution_batch_received_results (batch_id, batch_step_id, message_type, worker_id,
                session, sequence_number, status, execution_time_ms, disposition, raw_message_json, processed_at,
                processing_errors)
            SELECT j.batch_id, j.batch_step_id, j.type, left(j.worker, 255), j.session, j.sequence, j.status,
                   j.exec_ms, j.disposition, j.raw::json, p_now, CASE WHEN j.unusable THEN j.error::jsonb END
            FROM judged j ORDER BY j.ord
    ), history AS (
        INSERT INTO tasker_workflow_step_transitions
                (workflow_step_id, task_id, sort_key, from_state, to_state, event, created_at)
            SELECT j.step_id, j.task_id, j.sort_key, j.old_state, j.verdict, tasker_step_event(j.verdict), p_now
            FROM judged j WHERE j.disposition = 'applied'
    ), children AS (
        SELECT e.to_step_id, e.task_id, count(*)::int AS parents_done, sum(j.bytes) AS bytes
        FROM judged j
        JOIN tasker_workflow_step_edges e ON e.from_step_id = j.step_id AND e.task_id >= p_low_task
        WHERE j.disposition = 'applied' AND j.verdict = 'complete'
        GROUP BY e.to_step_id, e.task_id
    ), verdicts AS (
        SELECT j.ord::int, j.step_id, j.task_id, j.attempt, j.disposition,
               CASE WHEN j.disposition = 'applied' THEN j.verdict END AS new_state,
               CASE WHEN j.disposition = 'applied' AND j.verdict = 'error' AND j.status = 'failed' AND NOT j.unusable
                    THEN tasker_report_dead_letter(j.retryable, j.handler_stopped, j.step_retryable) END AS dead_letter,
               j.disposition IN ('late', 'stale_attempt') AND j.status = 'completed' AND NOT j.unusable
                   AS is_late_success
        FROM judged j WHERE j.class = 'final'
    )
    SELECT coalesce(array_agg(ROW(v.*)::tasker_turn_verdict), '{}'),
           count(*) FILTER (WHERE v.disposition = 'applied'), (SELECT count(*) FROM steps),
           coalesce(bool_or(v.dead_letter IS NOT NULL), false), coalesce(bool_or(v.is_late_success), false),
           coalesce(bool_or(v.new_state IS DISTINCT FROM 'complete'), false),
           -- Looked up one by one: as a join, between the first ANALYZE of one table and that of the next, the planner
           -- takes a step's id for one in 200 and reads all steps instead.
           coalesce((SELECT array_agg(ROW(s.workflow_step_id, s.task_id, s.handler_key, s.namespace_id, s.priority,
                         s.state, s.attempts, s.transition_count, s.timeout_ms, c.parents_done,
                         least(s.input_bytes + c.bytes
                               + CASE WHEN s.result_step_ids IS NOT NULL AND s.remaining_parents = c.parents_done
                                      THEN (SELECT coalesce(sum(octet_length(a.results::text)), 0)
                                            FROM tasker_workflow_steps a
                                            WHERE a.workflow_step_id = ANY (s.result_step_ids)
                                              AND a.task_id >= p_low_task) ELSE 0 END, 2147483647)::int,
                         s.state = 'pending' AND s.remaining_parents = c.parents_done)::tasker_turn_candidate)
                     FROM children c
                     CROSS JOIN LATERAL (SELECT s.* FROM tasker_workflow_steps s
                                         WHERE s.workflow_step_id = c.to_step_id AND s.task_id >= p_low_task
                                         LIMIT 1) s), '{}')
        INTO v_done.final, v_expected, v_count, v_done.has_dead_letter, v_done.has_late_success, v_done.has_other,
             v_done.children
    FROM verdicts v;
    IF v_count <> v_expected THEN
        RAISE EXCEPTION 'turn applied % of % reports', v_count, v_expected USING ERRCODE = '40001';
    END IF;
    RETURN v_done;
END $$;
