-- A step that has not ended, and every step that depends on it, become cancelled for good. If a worker runs it, its
-- delivery stays out until the orchestrator has sent that worker a cancel.
-- Locks: the task, then its steps by ascending id. Batches and deliveries are never touched: what is still out at a
-- worker is ended by the orchestrator. Works also while no orchestrator runs.
-- Returns one tasker_operation. Raises 40001 when a step changed meanwhile.
-- Called by the command line, HTTP and other languages.
CREATE OR REPLACE FUNCTION tasker_cancel_step(p_step_id bigint, p_reason text DEFAULT NULL, p_actor text DEFAULT NULL)
RETURNS tasker_operation
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_note jsonb := tasker_operation_note(p_reason, p_actor);
    v_task tasker_tasks; v_step tasker_workflow_steps; v_what text; v_ids bigint[]; v_cancelled bigint[];
    v_movable int; v_state text;
BEGIN
    SELECT t.* INTO v_task FROM tasker_tasks t
        WHERE t.task_id = (SELECT s.task_id FROM tasker_workflow_steps s WHERE s.workflow_step_id = p_step_id) FOR UPDATE;
    -- A turn may be claiming it at this moment.
    SELECT * INTO v_step FROM tasker_workflow_steps s WHERE s.workflow_step_id = p_step_id FOR UPDATE;
    IF v_task.task_id IS NULL OR v_step.workflow_step_id IS NULL THEN
        RETURN tasker_operation_result('not_found', 'unknown_step', format('there is no step %s', p_step_id), NULL);
    END IF;
    v_what := format('step %s (%s) of task %s', p_step_id, v_step.name, v_task.task_id);
    IF v_step.state = 'cancelled' THEN
        RETURN tasker_operation_result('unchanged', 'already_cancelled', format('%s is cancelled already', v_what),
            v_task.task_id, p_step_id);
    ELSIF v_step.state NOT IN ('pending', 'in_progress', 'waiting_for_retry') THEN
        RETURN tasker_operation_result('refused', 'wrong_state',
            format('%s is %s: it has ended and cannot be cancelled', v_what, v_step.state), v_task.task_id, p_step_id);
    END IF;
    -- Descendants have higher ids than their ancestors, so locking them now keeps the order. OFFSET 0 makes each
    -- round look its edges up by index, also on tables never analysed.
    WITH RECURSIVE below AS (
        SELECT p_step_id AS step_id
        UNION
        SELECT e.to_step_id FROM below b
        CROSS JOIN LATERAL (SELECT x.to_step_id FROM tasker_workflow_step_edges x
                            WHERE x.from_step_id = b.step_id OFFSET 0) e)
    SELECT array_agg(b.step_id) INTO v_ids FROM below b;
    SELECT c.cancelled, c.lost_movable INTO v_cancelled, v_movable
        FROM tasker_cancel_open_steps(v_task.task_id, v_ids, v_note) c;
    v_state := tasker_settle_task(v_task.task_id, 0, -v_movable, NULL, v_note);
    PERFORM pg_notify(tasker_channel('tasker_wake'), 'scan');
    RETURN tasker_operation_result('done', NULL,
        format('%s is cancelled%s; the task is %s', v_what,
               CASE cardinality(v_cancelled) WHEN 1 THEN '' WHEN 2 THEN ', and so is the one step that depends on it'
                    ELSE format(', and so are the %s steps that depend on it', cardinality(v_cancelled) - 1) END,
               v_state),
        v_task.task_id, p_step_id, NULL, v_cancelled);
END $$;
