-- The section `dead_letters` of a turn: orphans that end in error, failures at the limit, requests too large; nothing
-- else. A success that comes too late is shown on its dead letter.
-- Locks: the dead letters it writes; the turn holds their tasks. Returns how many are new. Raises nothing.
-- Called by tasker_turn, whose comment explains m_*.
CREATE OR REPLACE FUNCTION tasker_turn_dead_letters(p_now timestamptz, p_low_batch bigint, p_final tasker_turn_verdict[],
    p_moved tasker_turn_move[], p_has_late_success boolean, m_worker text[], m_output text[], m_error text[])
RETURNS int
LANGUAGE plpgsql AS $$
DECLARE v_count int;
BEGIN
    INSERT INTO tasker_dead_letters (workflow_step_id, task_id, attempt, reason, last_error, last_worker, created_at)
        SELECT f.step_id, f.task_id, f.attempt, f.dead_letter, r.error::jsonb, left(r.worker, 255), p_now
        FROM unnest(p_final) f
        JOIN unnest(m_error, m_worker) WITH ORDINALITY AS r(error, worker, ord) ON r.ord = f.ord
        WHERE f.dead_letter IS NOT NULL
        UNION ALL
        SELECT m.step_id, m.task_id, m.attempt, m.reason, m.error, coalesce(w.worker_id, b.session), p_now
        FROM unnest(p_moved) m
        JOIN tasker_step_execution_batches b ON b.batch_id = m.batch_id AND b.batch_id >= p_low_batch
        LEFT JOIN tasker_workers w ON w.session = b.session
        WHERE m.new_state = 'error';
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF p_has_late_success THEN
        UPDATE tasker_dead_letters d SET late_result = coalesce(r.output::jsonb, 'null')
        FROM unnest(p_final) f
        JOIN unnest(m_output) WITH ORDINALITY AS r(output, ord) ON r.ord = f.ord
        WHERE f.is_late_success AND d.workflow_step_id = f.step_id AND d.attempt = f.attempt
          AND d.late_result IS NULL;
    END IF;
    RETURN v_count;
END $$;
