-- Cancels those of these steps of one task that have not ended.
-- Locks: the steps by ascending id; the caller holds the task. Returns the steps it cancelled, and how many of them
-- counted as movable. Raises 40001 when a step changed meanwhile.
-- Called by tasker_cancel_step and tasker_cancel_task.
CREATE OR REPLACE FUNCTION tasker_cancel_open_steps(p_task_id bigint, p_step_ids bigint[], p_note jsonb,
    OUT cancelled bigint[], OUT lost_movable int)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_count int;
BEGIN
    PERFORM 1 FROM tasker_workflow_steps s WHERE s.workflow_step_id = ANY (p_step_ids)
        ORDER BY s.workflow_step_id FOR UPDATE;
    v_now := clock_timestamp();  -- after the locks: whoever held them has written a history before ours
    SELECT coalesce(array_agg(s.workflow_step_id ORDER BY s.workflow_step_id), '{}'),
           count(*) FILTER (WHERE s.state <> 'pending' OR s.remaining_parents = 0)
        INTO cancelled, lost_movable
    FROM tasker_workflow_steps s
    WHERE s.task_id = p_task_id AND s.workflow_step_id = ANY (p_step_ids)
      AND s.state IN ('pending', 'in_progress', 'waiting_for_retry');
    INSERT INTO tasker_workflow_step_transitions
        (workflow_step_id, task_id, sort_key, from_state, to_state, event, metadata, created_at)
        SELECT s.workflow_step_id, p_task_id, s.transition_count + 1, s.state, 'cancelled', 'cancel', p_note, v_now
        FROM tasker_workflow_steps s WHERE s.workflow_step_id = ANY (cancelled);
    UPDATE tasker_workflow_steps s SET
        state = 'cancelled', ready_key = NULL, transition_count = s.transition_count + 1, processed_at = v_now,
        next_attempt_at = NULL, backoff_request_seconds = NULL
    WHERE s.workflow_step_id = ANY (cancelled) AND s.state IN ('pending', 'in_progress', 'waiting_for_retry');
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count <> cardinality(cancelled) THEN
        RAISE EXCEPTION 'cancelled % of % steps of task %', v_count, cardinality(cancelled), p_task_id
            USING ERRCODE = '40001';
    END IF;
END $$;
