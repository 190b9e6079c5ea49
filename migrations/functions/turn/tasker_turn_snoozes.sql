-- The section `snoozes` of a turn: their handlers asked to be called again later. That costs no attempt, and the step
-- waits as long as was asked. One that has done so z_max times already ends in error instead. Where the step has moved
-- on (cancelled), only its delivery ends.
-- Locks: the deliveries and steps it writes; the turn holds their tasks. Returns the steps that moved. Raises nothing.
-- Called by tasker_turn, whose comment explains z_*.
CREATE OR REPLACE FUNCTION tasker_turn_snoozes(p_now timestamptz, p_low_task bigint, p_low_batch bigint,
    z_batch_id bigint[], z_step_id bigint[], z_attempt int[], z_wait double precision[], z_max int[], z_message text[])
RETURNS tasker_turn_move[]
LANGUAGE plpgsql AS $$
DECLARE v_moved tasker_turn_move[];
BEGIN
    WITH ended AS (
        UPDATE tasker_step_execution_batch_steps bs SET final_status = 'handed_back', updated_at = p_now,
            metadata = z.note
        FROM (SELECT z.*, jsonb_strip_nulls(jsonb_build_object('reason', 'snoozed', 'wait_seconds', z.wait,
                                                               'message', z.message)) AS note
              FROM unnest(z_batch_id, z_step_id, z_attempt, z_wait, z_max, z_message)
                  AS z(batch_id, step_id, attempt, wait, max, message)) z
        WHERE bs.batch_id = z.batch_id AND bs.workflow_step_id = z.step_id AND bs.batch_id >= p_low_batch
          AND bs.reported_at IS NULL AND bs.final_status IS NULL
        RETURNING bs.batch_id, z.step_id, z.attempt, z.wait, z.max, z.message, z.note
    ), judged AS (
        SELECT e.*, s.snoozes >= e.max AS is_over
        FROM ended e JOIN tasker_workflow_steps s ON s.workflow_step_id = e.step_id AND s.task_id >= p_low_task
    ), moved AS (
        UPDATE tasker_workflow_steps s SET
            state = CASE WHEN j.is_over THEN 'error' ELSE 'pending' END,
            next_attempt_at = CASE WHEN NOT j.is_over THEN p_now + make_interval(secs => j.wait) END,
            unstarted_attempts = s.unstarted_attempts + (NOT j.is_over)::int,
            snoozes = s.snoozes + (NOT j.is_over)::int,
            transition_count = s.transition_count + 1,
            processed_at = CASE WHEN j.is_over THEN p_now END,
            error = CASE WHEN j.is_over THEN jsonb_build_object('message',
                format('its handler asked to wait more often than max_snoozes allows (%s)', j.max)
                    || coalesce(': ' || j.message, ''),
                'error_type', 'SnoozeError', 'error_code', 'snoozes_exhausted') END
        FROM judged j
        WHERE s.workflow_step_id = j.step_id AND s.task_id >= p_low_task AND s.state = 'in_progress'
          AND s.attempts = j.attempt
        RETURNING s.workflow_step_id, s.task_id, s.attempts, s.transition_count, s.state, s.handler_key, s.error,
                  j.is_over, j.note, j.batch_id
    ), history AS (
        INSERT INTO tasker_workflow_step_transitions
            (workflow_step_id, task_id, sort_key, from_state, to_state, event, metadata, created_at)
        SELECT m.workflow_step_id, m.task_id, m.transition_count, 'in_progress', m.state,
               CASE WHEN m.is_over THEN 'fail' ELSE 'hand_back' END,
               CASE WHEN m.is_over THEN m.note || '{"reason": "snoozes_exhausted"}' ELSE m.note END, p_now
        FROM moved m
    )
    SELECT coalesce(array_agg(ROW(NULL, m.workflow_step_id, m.task_id, m.attempts, m.state, m.handler_key,
                                  CASE WHEN m.is_over THEN 'snoozes_exhausted' ELSE 'snoozed' END, m.error,
                                  m.batch_id)::tasker_turn_move), '{}')
        INTO v_moved FROM moved m;
    RETURN v_moved;
END $$;
