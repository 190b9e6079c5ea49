-- The section `starts` of a turn: a start is granted while that attempt is still the current one and still out, and to
-- its session again when it asks again. The task's lock keeps a cancellation out until this is committed.
-- Locks: the deliveries it writes; the turn holds their tasks. Returns one answer per question; `ord` is its place
-- among g_*. Raises nothing.
-- Called by tasker_turn, whose comment explains g_*.
CREATE OR REPLACE FUNCTION tasker_turn_starts(p_now timestamptz, p_low_task bigint, p_low_batch bigint,
    g_batch_id bigint[], g_step_id bigint[], g_attempt int[]) RETURNS tasker_turn_grant[]
LANGUAGE plpgsql AS $$
DECLARE v_grant tasker_turn_grant[];
BEGIN
    WITH asked AS (
        SELECT g.ord, bs.batch_id, bs.workflow_step_id, s.state, s.attempts = g.attempt AS is_current,
               bs.reported_at IS NULL AND bs.final_status IS NULL AS is_out
        FROM unnest(g_batch_id, g_step_id, g_attempt) WITH ORDINALITY AS g(batch_id, step_id, attempt, ord)
        JOIN tasker_workflow_steps s ON s.workflow_step_id = g.step_id AND s.task_id >= p_low_task
        JOIN tasker_step_execution_batch_steps bs ON bs.batch_id = g.batch_id AND bs.workflow_step_id = g.step_id
            AND bs.batch_id >= p_low_batch
    ), granted AS (
        UPDATE tasker_step_execution_batch_steps bs SET granted_at = coalesce(bs.granted_at, p_now),
            updated_at = p_now
        FROM (SELECT DISTINCT a.batch_id, a.workflow_step_id FROM asked a
              WHERE a.state = 'in_progress' AND a.is_current AND a.is_out) a
        WHERE bs.batch_id = a.batch_id AND bs.workflow_step_id = a.workflow_step_id AND bs.batch_id >= p_low_batch
    )
    SELECT coalesce(array_agg(ROW(a.ord, CASE
            WHEN a.state = 'cancelled' THEN 'cancelled'
            WHEN NOT a.is_current THEN 'stale_attempt'
            WHEN NOT a.is_out OR a.state <> 'in_progress' THEN 'ended' END)::tasker_turn_grant), '{}')
        INTO v_grant FROM asked a;
    RETURN v_grant;
END $$;
