-- Books what happened to a task's steps and gives the verdict, the same as a turn's. p_first: `reopen` takes a task
-- in error back to in_progress before; `cancel` ends it in cancelled whatever the state of its steps.
-- Locks: nothing of its own; the caller holds the task. Returns the task's new state. Notifies tasker_done when the
-- task ended. Raises P0002 when there is no such task.
-- Called by tasker_retry_failed_steps, tasker_resolve_step, tasker_cancel_step and tasker_cancel_task.
CREATE OR REPLACE FUNCTION tasker_settle_task(p_task_id bigint, p_completed int, p_movable int, p_first text, p_note jsonb)
RETURNS text
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
    v_task tasker_tasks; v_state text; v_verdict text; v_count int;
BEGIN
    SELECT * INTO STRICT v_task FROM tasker_tasks t WHERE t.task_id = p_task_id;
    v_state := v_task.state;
    v_count := v_task.transition_count;
    IF p_first = 'reopen' AND v_state = 'error' THEN
        v_count := v_count + 1;
        INSERT INTO tasker_task_transitions (task_id, sort_key, from_state, to_state, event, metadata, created_at)
            VALUES (p_task_id, v_count, 'error', 'in_progress', 'reopen', p_note, v_now);
        v_state := 'in_progress';
    END IF;
    v_verdict := CASE WHEN p_first = 'cancel' THEN 'cancelled'
        ELSE tasker_task_verdict(v_state, v_task.open_steps - p_completed, v_task.movable_steps + p_movable, false,
                 EXISTS (SELECT 1 FROM tasker_workflow_steps s WHERE s.task_id = p_task_id AND s.state = 'error')) END;
    IF v_verdict <> v_state THEN
        v_count := v_count + 1;
        INSERT INTO tasker_task_transitions (task_id, sort_key, from_state, to_state, event, metadata, created_at)
            VALUES (p_task_id, v_count, v_state, v_verdict, tasker_task_event(v_verdict), p_note, v_now);
    END IF;
    UPDATE tasker_tasks t SET
        state = v_verdict, open_steps = t.open_steps - p_completed, movable_steps = t.movable_steps + p_movable,
        transition_count = v_count, updated_at = v_now,
        completed_at = CASE WHEN v_verdict IN ('pending', 'in_progress') THEN NULL
                            WHEN v_verdict <> v_state THEN v_now ELSE coalesce(t.completed_at, v_now) END
    WHERE t.task_id = p_task_id;
    IF v_verdict <> v_state AND v_verdict NOT IN ('pending', 'in_progress') THEN
        PERFORM pg_notify(tasker_channel('tasker_done'), p_task_id::text);
    END IF;
    RETURN v_verdict;
END $$;
