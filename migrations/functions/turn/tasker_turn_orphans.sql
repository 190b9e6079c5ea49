-- The section `orphans` of a turn: what may run again does so at once, as a new attempt in a new batch; the rest ends
-- in error. `try_alone`: a neighbour in its batch may be at fault, so it is sent alone before it is given up, also when
-- that is one attempt beyond its limit.
-- Locks: the deliveries and steps it writes; the turn holds their tasks. Returns the steps that moved; `ord` is the
-- orphan's place among o_*. Raises nothing.
-- Called by tasker_turn, whose comment explains o_*.
CREATE OR REPLACE FUNCTION tasker_turn_orphans(p_now timestamptz, p_low_task bigint, p_low_batch bigint,
    o_batch_id bigint[], o_step_id bigint[], o_attempt int[], o_reason text[], o_try_alone boolean[])
RETURNS tasker_turn_move[]
LANGUAGE plpgsql AS $$
DECLARE v_moved tasker_turn_move[];
BEGIN
    WITH ended AS (
        UPDATE tasker_step_execution_batch_steps bs SET final_status = 'orphaned', updated_at = p_now,
            metadata = jsonb_build_object('reason', o.reason)
        FROM unnest(o_batch_id, o_step_id, o_attempt, o_reason, o_try_alone) WITH ORDINALITY
            AS o(batch_id, step_id, attempt, reason, try_alone, ord)
        WHERE bs.batch_id = o.batch_id AND bs.workflow_step_id = o.step_id AND bs.batch_id >= p_low_batch
          AND bs.reported_at IS NULL AND bs.final_status IS NULL
        RETURNING bs.batch_id, o.ord, o.step_id, o.attempt, o.reason, o.try_alone
    ), judged AS (
        SELECT e.*, s.on_orphan = 'retry' AND s.retryable
                    AND (x.is_within_limit OR e.try_alone) AS again,
               e.try_alone AND NOT x.is_within_limit AS is_extra
        FROM ended e
        JOIN tasker_workflow_steps s ON s.workflow_step_id = e.step_id AND s.task_id >= p_low_task
        CROSS JOIN LATERAL (SELECT s.attempts - s.unstarted_attempts < s.retry_limit AS is_within_limit) x
    ), moved AS (
        UPDATE tasker_workflow_steps s SET
            state = CASE WHEN j.again THEN 'waiting_for_retry' ELSE 'error' END,
            ready_key = CASE WHEN j.again THEN s.handler_key END,
            next_attempt_at = CASE WHEN j.again THEN p_now END,
            transition_count = s.transition_count + 1,
            sent_alone = s.sent_alone OR j.try_alone,
            retry_limit = s.retry_limit + CASE WHEN j.again AND j.is_extra THEN 1 ELSE 0 END,
            processed_at = CASE WHEN NOT j.again THEN p_now END,
            error = jsonb_build_object('message', tasker_orphan_message(j.reason), 'error_type', 'Orphaned',
                                       'error_code', j.reason, 'attempt', j.attempt)
        FROM judged j
        WHERE s.workflow_step_id = j.step_id AND s.task_id >= p_low_task AND s.state = 'in_progress'
          AND s.attempts = j.attempt
        RETURNING j.ord, s.workflow_step_id, s.task_id, s.attempts, s.transition_count, s.state, s.handler_key,
                  s.error, j.reason, j.batch_id
    ), history AS (
        INSERT INTO tasker_workflow_step_transitions
            (workflow_step_id, task_id, sort_key, from_state, to_state, event, metadata, created_at)
        SELECT m.workflow_step_id, m.task_id, m.transition_count, 'in_progress', m.state, tasker_step_event(m.state),
               jsonb_build_object('reason', m.reason), p_now
        FROM moved m
    )
    SELECT coalesce(array_agg(ROW(m.ord, m.workflow_step_id, m.task_id, m.attempts, m.state, m.handler_key, m.reason,
                                  m.error, m.batch_id)::tasker_turn_move), '{}')
        INTO v_moved FROM moved m;
    RETURN v_moved;
END $$;
