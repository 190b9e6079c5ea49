-- The section `hand_backs` of a turn: proven unstarted, so the attempt does not count and the step is ready again. The
-- first five times that is so at once. Then it pauses for 0.1 s, and twice as long each time up to 60 s, so that a
-- worker that hands back for a reason of its own cannot keep a lane busy. With the hundredth the step ends in error:
-- nobody takes it. An operator's retry gives it as many again. (Both are counted by unstarted_attempts, less the snoozes.)
-- A request that cannot be sent (request_too_large, request_not_built) ends its step at once. One that its worker did
-- not take with its neighbours (batch_too_large, not_accepted) is sent alone from now on. Where the step has moved on
-- (cancelled), only its delivery ends.
-- Locks: the deliveries and steps it writes; the turn holds their tasks. Returns the steps that moved. Raises nothing.
-- Called by tasker_turn, whose comment explains h_*.
CREATE OR REPLACE FUNCTION tasker_turn_hand_backs(p_now timestamptz, p_low_task bigint, p_low_batch bigint,
    h_batch_id bigint[], h_step_id bigint[], h_attempt int[], h_reason text[], h_cause text[]) RETURNS tasker_turn_move[]
LANGUAGE plpgsql AS $$
DECLARE
    c_prompt CONSTANT int := 5;
    c_most CONSTANT int := 100;
    v_moved tasker_turn_move[];
BEGIN
    WITH ended AS (
        UPDATE tasker_step_execution_batch_steps bs SET final_status = 'handed_back', updated_at = p_now,
            metadata = jsonb_build_object('reason', h.reason)
        FROM unnest(h_batch_id, h_step_id, h_attempt, h_reason, h_cause)
            AS h(batch_id, step_id, attempt, reason, cause)
        WHERE bs.batch_id = h.batch_id AND bs.workflow_step_id = h.step_id AND bs.batch_id >= p_low_batch
          AND bs.reported_at IS NULL AND bs.final_status IS NULL
        RETURNING bs.batch_id, h.step_id, h.attempt, h.reason, h.cause
    ), judged AS (
        SELECT e.*, (s.unstarted_attempts - s.snoozes) % c_most + 1 AS times,
               -- What was never sent is nobody's refusal.
               CASE WHEN e.reason IN ('request_too_large', 'request_not_built') THEN e.reason
                    WHEN e.reason <> 'undelivered' AND (s.unstarted_attempts - s.snoozes) % c_most = c_most - 1
                    THEN 'handed_back_too_often' END AS fault
        FROM ended e JOIN tasker_workflow_steps s ON s.workflow_step_id = e.step_id AND s.task_id >= p_low_task
    ), moved AS (
        UPDATE tasker_workflow_steps s SET
            state = CASE WHEN e.fault IS NULL THEN 'pending' ELSE 'error' END,
            ready_key = CASE WHEN e.fault IS NULL AND e.times <= c_prompt THEN s.handler_key END,
            next_attempt_at = CASE WHEN e.fault IS NULL AND e.times > c_prompt
                THEN p_now + make_interval(secs => least(60, 0.1 * power(2, e.times - c_prompt - 1))) END,
            unstarted_attempts = s.unstarted_attempts + 1,
            sent_alone = s.sent_alone OR e.reason IN ('batch_too_large', 'not_accepted'),
            transition_count = s.transition_count + CASE WHEN e.fault IS NULL THEN 1 ELSE 2 END,
            processed_at = CASE WHEN e.fault IS NOT NULL THEN p_now END,
            error = CASE WHEN e.fault IS NOT NULL THEN jsonb_build_object('message',
                CASE e.fault WHEN 'request_too_large' THEN 'the request of this step is larger than limits.batch_bytes'
                     WHEN 'request_not_built' THEN 'the request of this step cannot be built'
                     ELSE format('workers handed the step back %s times without starting it, the last time because of %s',
                                 c_most, e.reason) END || coalesce(': ' || nullif(e.cause, ''), ''),
                'error_code', e.fault) END
        FROM judged e
        WHERE s.workflow_step_id = e.step_id AND s.task_id >= p_low_task AND s.state = 'in_progress'
          AND s.attempts = e.attempt
        RETURNING s.workflow_step_id, s.task_id, s.attempts, s.transition_count, s.state, s.handler_key, s.error,
                  e.reason, e.fault, e.batch_id
    ), history AS (
        INSERT INTO tasker_workflow_step_transitions
            (workflow_step_id, task_id, sort_key, from_state, to_state, event, metadata, created_at)
        SELECT m.workflow_step_id, m.task_id, m.transition_count - CASE WHEN m.fault IS NULL THEN 0 ELSE 1 END,
               'in_progress', 'pending', 'hand_back', jsonb_build_object('reason', m.reason), p_now FROM moved m
        UNION ALL
        SELECT m.workflow_step_id, m.task_id, m.transition_count, 'pending', 'error',
               CASE m.fault WHEN 'handed_back_too_often' THEN 'give_up' ELSE 'request_too_large' END, NULL, p_now
        FROM moved m WHERE m.fault IS NOT NULL
    )
    SELECT coalesce(array_agg(ROW(NULL, m.workflow_step_id, m.task_id, m.attempts, m.state, m.handler_key,
                                  coalesce(m.fault, m.reason), m.error, m.batch_id)::tasker_turn_move), '{}')
        INTO v_moved FROM moved m;
    RETURN v_moved;
END $$;
