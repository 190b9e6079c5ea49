-- pending, in_progress or error → cancelled, with every step that has not ended; open dead letters are closed.
-- Locks: the task, then its steps by ascending id. Batches and deliveries are never touched: what is still out at a
-- worker is ended by the orchestrator. Works also while no orchestrator runs.
-- Returns one tasker_operation. Raises 40001 when a step changed meanwhile.
-- Called by the command line, HTTP and other languages.
CREATE OR REPLACE FUNCTION tasker_cancel_task(p_task_id bigint, p_reason text DEFAULT NULL, p_actor text DEFAULT NULL)
RETURNS tasker_operation
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_note jsonb := tasker_operation_note(p_reason, p_actor);
    v_task tasker_tasks; v_cancelled bigint[]; v_movable int; v_running int;
BEGIN
    SELECT t.* INTO v_task FROM tasker_tasks t WHERE t.task_id = p_task_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN tasker_operation_result('not_found', 'unknown_task', format('there is no task %s', p_task_id), NULL);
    ELSIF v_task.state = 'cancelled' THEN
        RETURN tasker_operation_result('unchanged', 'already_cancelled', format('task %s is cancelled already', p_task_id),
            p_task_id);
    ELSIF v_task.state NOT IN ('pending', 'in_progress', 'error') THEN
        RETURN tasker_operation_result('refused', 'wrong_state',
            format('task %s is %s: it has ended and cannot be cancelled', p_task_id, v_task.state), p_task_id);
    END IF;
    SELECT c.cancelled, c.lost_movable INTO v_cancelled, v_movable
        FROM tasker_cancel_open_steps(p_task_id,
            ARRAY(SELECT s.workflow_step_id FROM tasker_workflow_steps s WHERE s.task_id = p_task_id
                  AND s.state IN ('pending', 'in_progress', 'waiting_for_retry')), v_note) c;
    SELECT count(*) INTO v_running FROM tasker_workflow_step_transitions h
        JOIN tasker_workflow_steps s ON s.workflow_step_id = h.workflow_step_id AND s.transition_count = h.sort_key
        WHERE s.workflow_step_id = ANY (v_cancelled) AND h.from_state = 'in_progress';
    PERFORM tasker_close_dead_letters(
        ARRAY(SELECT s.workflow_step_id FROM tasker_workflow_steps s WHERE s.task_id = p_task_id AND s.state = 'error'),
        'cancelled', p_reason, p_actor);
    PERFORM tasker_settle_task(p_task_id, 0, -v_movable, 'cancel', v_note);
    PERFORM pg_notify(tasker_channel('tasker_wake'), 'scan');
    RETURN tasker_operation_result('done', NULL,
        format('task %s is cancelled, with %s of its steps%s', p_task_id, cardinality(v_cancelled),
               CASE WHEN v_running > 0 THEN format(' (%s out at workers, which will be told)', v_running) ELSE '' END),
        p_task_id, NULL, NULL, v_cancelled);
END $$;
